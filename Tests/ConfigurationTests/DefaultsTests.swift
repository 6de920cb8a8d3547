import Configuration
import Testing

@Suite struct DefaultsTests {
    @Test func nothingSetIsTheDocumentedDefault() {
        let defaults = Configuration()
        #expect(defaults.autoDiskLeases)
        #expect(defaults.diskLeaseDirectory == "/var/lib/libvirt/sanlock")
        #expect(defaults.hostId == nil)
        #expect(!defaults.requireLeaseForDisks)
        #expect(defaults.ioTimeoutSeconds == 0)
        #expect(defaults.user == nil)
        #expect(defaults.group == nil)
        #expect(defaults.leaseHosts == 250)
        #expect(defaults.waitSeconds == 0)
        #expect(defaults.onLeaseLoss == .poweroff)
        #expect(defaults.stopTimeoutSeconds == 30)
        #expect(defaults.runDirectory == nil)
    }

    @Test(arguments: ["", "\n", " \t", "\r\n\r\n", "# only\n  # comments", "#", "#\u{e9}\u{1F600}\n"])
    func fileThatSetsNothingGivesTheDefaults(text: String) throws {
        #expect(try Configuration(parsing: text, path: "/etc/leasehold/leasehold.conf") == Configuration())
    }

    /// Columns: path, text, auto_disk_leases, require_lease_for_disks.
    @Test(arguments: [
        ("/etc/leasehold/leasehold.conf", "", true, false),
        ("/etc/leasehold/leasehold.conf", "auto_disk_leases = 0", false, true),
        ("/etc/leasehold/leasehold.conf", "auto_disk_leases = 0\nrequire_lease_for_disks = 0", false, false),
        ("/etc/leasehold/leasehold.conf", "require_lease_for_disks = 1\nauto_disk_leases = 1", true, true),
        ("/etc/leasehold/leasehold.conf", "require_lease_for_disks = 0\nauto_disk_leases = 0", false, false),
        ("/etc/libvirt/qemu-sanlock.conf", "", false, true),
        ("/etc/libvirt/qemu-sanlock.conf", "auto_disk_leases = 1", true, false),
        ("/etc/libvirt/qemu-sanlock.conf", "require_lease_for_disks = 0", false, false),
        ("qemu-sanlock.conf", "", false, true),
        ("/etc/libvirt/xqemu-sanlock.conf", "", true, false),
        ("/etc/qemu-sanlock.conf/leasehold.conf", "", true, false),
        ("", "", true, false),
    ])
    func requiringLeasesDefaultsToTheOppositeOfMakingThem(path: String, text: String, auto: Bool, require: Bool) throws
    {
        let configuration = try Configuration(parsing: text, path: path)
        #expect(configuration.autoDiskLeases == auto)
        #expect(configuration.requireLeaseForDisks == require)
    }
}
