import Foundation
import Testing

@testable import Configuration

@Suite struct LibvirtFileTests {
    /// What an administrator makes of the sample that Debian's libvirt-daemon-driver-lock-sanlock installs.
    static let edited = """
        # Leases without <lease> elements, one for each disk path.
        #
        #   NB: "host_id" must be set, or libvirt's plugin refuses to load
        auto_disk_leases = 1

        # An NFS mount of all hosts
        #disk_lease_dir = "/var/lib/libvirt/sanlock"
        disk_lease_dir = "/srv/nfs/leases"\t# was: '/var/lib/libvirt/sanlock'
        host_id = 12

        require_lease_for_disks = 0
        io_timeout = 20
        #
        # The sanlock daemon's user and group
        user = "sanlock"
        group = '+121'
        """

    @Test(arguments: ["\n", "\r\n"])
    func editedSampleIsTakenAsItIs(lineEnd: String) throws {
        let text = Self.edited.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: lineEnd)
        var expected = Configuration()
        expected.diskLeaseDirectory = "/srv/nfs/leases"
        expected.hostId = 12
        expected.ioTimeoutSeconds = 20
        expected.user = "sanlock"
        expected.group = "121"
        #expect(try Configuration(parsing: text, path: "/etc/libvirt/qemu-sanlock.conf") == expected)
    }

    /// virConfGetValue looks from the top and stops at the first.
    @Test func firstOfAKeySetTwiceCountsAsForLibvirt() throws {
        let text = "host_id = 3\nauto_disk_leases = 1\nhost_id = 4\nhost_id = \"none\"\nauto_disk_leases = 0"
        let configuration = try Configuration(parsing: text, path: "/etc/libvirt/qemu-sanlock.conf")
        #expect(configuration.hostId == 3)
        #expect(configuration.autoDiskLeases)
        #expect(!configuration.requireLeaseForDisks)
    }

    @Test func hostIdOfZeroIsNoneAsForLibvirt() throws {
        #expect(try Configuration(parsing: "host_id = 0", path: "/etc/libvirt/qemu-sanlock.conf").hostId == nil)
        #expect(throws: ConfigurationError.self) { try Configuration(parsing: "host_id = 0", path: "leasehold.conf") }
    }
}

@Suite struct SampleFileTests {
    private let path = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../install/leasehold.conf").path

    @Test func sampleSetsNothingAsItIs() throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(try Configuration(parsing: text, path: path) == Configuration())
    }

    @Test func sampleHasEveryKeyAtItsDefault() throws {
        var keys: [String] = []
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
            guard let match = line.wholeMatch(of: /#([a-z_]+) = .+/) else { return line }
            keys.append(String(match.output.1))
            return line.dropFirst()
        }
        #expect(keys == ConfigurationKey.allCases.map(\.rawValue))

        var expected = Configuration()
        expected.hostId = 1
        expected.user = "sanlock"
        expected.group = "sanlock"
        expected.runDirectory = "/run/leasehold"
        #expect(try Configuration(parsing: lines.joined(separator: "\n"), path: path) == expected)
    }
}
