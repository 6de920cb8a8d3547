import Foundation
import TestSupport

/// How host 1 comes to the lease directory.
enum FaultStorage: Sendable {
    /// As host 2 does.
    case plain
    /// Through a `FaultFileSystem`.
    case faulty
    /// Through a file system in an image, which can be frozen. Host 2 has the same blocks without it, in the image.
    case freezable
}

/// Two hosts on one lease directory, whose faults can be made for the first alone.
final class FaultHosts: Sendable {
    let scratch: Scratch
    let storage: FaultStorage
    /// Hosts 1 and 2. On `freezable` storage no supervisor of the second can use the lease directory.
    let first: Station
    let second: Station
    let faultFileSystem: FaultFileSystem?
    private let mountPoint: String
    private let image: String
    /// What host 1 has at `mountPoint`, seen without faults; on `freezable` storage the mount point.
    private let store: String

    init(_ storage: FaultStorage) throws {
        let scratch = try Scratch()
        self.scratch = scratch
        self.storage = storage
        do {
            let mountPoint = try scratch.directory("m")
            self.mountPoint = mountPoint
            image = scratch.file("image")
            switch storage {
            case .plain:
                faultFileSystem = nil
                store = mountPoint
            case .faulty:
                store = try scratch.directory("store")
                faultFileSystem = try FaultFileSystem(store, at: mountPoint, scratch)
            case .freezable:
                faultFileSystem = nil
                store = mountPoint
                try Self.mountImage(image, at: mountPoint, scratch)
            }
            _ = try scratch.directory("disks")
            for name in ["leases", "disks"] {
                try FileManager.default.createDirectory(atPath: "\(store)/\(name)", withIntermediateDirectories: true)
            }
            let daemons = try (1...2).map { id in
                let daemon = try SanlockDaemon(hostName: "host\(id)", runDirectory: scratch.file("s\(id)"))
                scratch.atEnd { daemon.end() }
                return daemon
            }
            let directories = ["\(mountPoint)/leases", "\(store)/leases"]
            // The smaller the lease, the faster the hunter may ask for it.
            let stations = try (0...1).map {
                try Station(
                    daemons[$0], id: $0 + 1, leaseDirectory: directories[$0], scratch, settings: ["lease_hosts": "8"])
            }
            first = stations[0]
            second = stations[1]
            try joinAll()
        } catch {
            scratch.remove()
            throw error
        }
    }

    private static func mountImage(_ image: String, at mountPoint: String, _ scratch: Scratch) throws {
        try Program.run("truncate", ["-s", "64M", image]).expecting(.exit(0))
        try Program.run("mkfs.ext4", ["-q", image]).expecting(.exit(0))
        // Straight to the image: in pages of its own the device could overwrite what host 2 writes beside it.
        let found = try Program.run("losetup", ["--direct-io=on", "--find", "--show", image]).expecting(.exit(0))
        let device = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let mounted = try Program.run("mount", [device, mountPoint])
        // The device goes with the mount.
        try Program.run("losetup", ["--detach", device]).expecting(.exit(0))
        try mounted.expecting(.exit(0))
        scratch.atEnd { _ = try? Program.run("umount", ["-l", mountPoint]) }
    }

    private func joinAll() throws {
        let file = "\(store)/leases/\(TwoHosts.lockspace)"
        try Data(count: 1 << 20).write(to: URL(fileURLWithPath: file))
        try first.daemon.sanlock("direct", "init", "-s", "\(TwoHosts.lockspace):0:\(file):0", "-o", "1")
            .expecting(.exit(0))
        let one = try joinProgram(1).start()
        // Host 2 renews, and looks at host 1, soon after host 1 has renewed: so its patience with it begins and ends
        // as early as may be.
        pause(milliseconds: 400)
        for one in [one, try joinProgram(2).start()] { try one.finish(timeout: 60).expecting(.exit(0)) }
        // Before, sanlock may take a dead owner for a living one.
        try eventually(within: 20, every: 100, "each host seeing both") {
            try [first, second].allSatisfy { host in
                let states = try host.daemon.hostStates()
                return states[1] == "LIVE" && states[2] == "LIVE"
            }
        }
    }

    private func joinProgram(_ host: Int) throws -> Program {
        let station = host == 1 ? first : second
        return Program(
            "sanlock", ["client", "add_lockspace", "-s", try lockspaceText(host), "-o", "1"],
            environment: station.daemon.environment)
    }

    /// Has a host join the lockspace again.
    func join(_ host: Int) throws { try joinProgram(host).run(timeout: 60).expecting(.exit(0)) }

    /// The lockspace as a host gives it to `sanlock`.
    func lockspaceText(_ host: Int) throws -> String {
        let (path, offset) = try place("leases/\(TwoHosts.lockspace)", host)
        return "\(TwoHosts.lockspace):\(host):\(path):\(offset)"
    }

    /// A disk's lease as a host gives it to `sanlock`. On `freezable` storage it has to be there already.
    func leaseText(_ disk: String, _ host: Int) throws -> String {
        let name = try leaseName(disk)
        let (path, offset) = try place("leases/\(name)", host)
        return "\(TwoHosts.lockspace):\(name):\(path):\(offset)"
    }

    /// Where a host has a file of the storage.
    private func place(_ file: String, _ host: Int) throws -> (path: String, offset: UInt64) {
        if host == 1 { return ("\(mountPoint)/\(file)", 0) }
        guard storage == .freezable else { return ("\(store)/\(file)", 0) }
        return (image, try extentBytes("\(store)/\(file)"))
    }

    /// Where a file is in the image.
    private func extentBytes(_ file: String) throws -> UInt64 {
        let outcome = try Program.run("filefrag", ["-s", "-v", "-b512", file]).expecting(.exit(0))
        // "   0:        0..    2047:      34816..     36863:   2048:  last,eof"
        let extents = outcome.output.split(separator: "\n").filter { $0.contains("..") }
        let numbers = extents.first?.split { !$0.isNumber }.compactMap { UInt64($0) } ?? []
        guard extents.count == 1, numbers.count >= 4, numbers[1] == 0 else {
            throw TestFailure("\(file) is not in one piece: \(outcome.output)")
        }
        return numbers[3] * 512
    }

    /// Makes the shared disk.
    ///
    /// - Parameter onStorage: whether it has host 1's faults too.
    /// - Returns: its path on host 1, and the same disk without faults, which is host 2's.
    func makeDisk(onStorage: Bool) throws -> (first: String, second: String) {
        guard onStorage else {
            let path = try scratch.disk("disks/d")
            return (path, path)
        }
        let path = try scratch.disk("\(storage == .faulty ? "store" : "m")/disks/d")
        return ("\(mountPoint)/disks/d", path)
    }

    // MARK: Renewals

    /// Waits until a host has renewed its lockspace's lease this moment.
    func waitForRenewal(_ host: Int) throws {
        let (path, offset) = try place("leases/\(TwoHosts.lockspace)", 2)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw TestFailure("can't open \(path)") }
        defer { close(descriptor) }
        func look() -> [UInt8] {
            var sector = [UInt8](repeating: 0, count: 512)
            pread(descriptor, &sector, sector.count, off_t(offset) + off_t(512 * (host - 1)))
            return sector
        }
        let before = look()
        try eventually(within: 10, every: 4, "a renewal of host \(host)") { look() != before }
    }

    // MARK: Faults

    /// Freezes the file system: writes wait, those of processes that are killed too.
    func freeze() throws { try Program.run("fsfreeze", ["-f", mountPoint]).expecting(.exit(0)) }

    /// Lets it go on.
    func thaw() throws { try Program.run("fsfreeze", ["-u", mountPoint]).expecting(.exit(0)) }

    /// Undoes faults, ends everything and removes it.
    func end() {
        try? faultFileSystem?.set(.working)
        if storage == .freezable { try? thaw() }
        for station in [first, second] { station.daemon.cont() }
        scratch.remove()
    }
}
