import ControlProtocol
import EmulatorCommandLine
import Leases

/// What a guest needs to itself, or together with others.
public enum Resource: Hashable, Sendable {
    /// How a disk is used.
    public enum Mode: String, Sendable {
        /// Written by this guest alone.
        case exclusive
        /// Written by guests that share it.
        case shared
        /// Only read: needs no lease.
        case readonly
    }

    /// A disk by its absolute path, or by what QEMU's `file=` has for one that it reaches over a network (`nbd://…`); its lease
    /// follows from that.
    case disk(String, Mode = .exclusive)
    /// A lease in sanlock's spelling, `LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]`, with its escapes.
    case lease(String)

    /// A lease by its parts, as libvirt's `<lease>` has them.
    ///
    /// - Parameter isShared: whether it is shared with other holders.
    public static func lease(
        lockspace: String, name: String, path: String, offsetBytes: UInt64 = 0, isShared: Bool = false
    ) -> Resource {
        let resource = LeaseResource(lockspace: lockspace, name: name, path: path, offsetBytes: offsetBytes)
        return .lease(LeaseRequest(disk: nil, resource: resource, mode: isShared ? .shared : .exclusive).spelling)
    }

    /// The same resource, as the leases are named by it.
    ///
    /// - Throws: ``LockManagerError/invalidResource(_:why:)``.
    func checked() throws(LockManagerError) -> Resource {
        switch self {
        case .disk(let given, let mode):
            let disk = try Resource.disk(named: given)
            guard disk.path.utf8.count > 1 else {
                throw .invalidResource(given, why: "a disk is named by its absolute path")
            }
            // U+FFFD stands for bytes that are no text: the lease would be another disk's.
            guard !disk.path.unicodeScalars.contains(where: { $0 == "\0" || $0 == "\u{fffd}" }) else {
                throw .invalidResource(given, why: "the path has bytes in it that are no text; rename the disk")
            }
            // The supervisor reads the name of another disk once more.
            return .disk(disk.isRemote ? given : disk.path, mode)
        case .lease(let spelling):
            do throws(LeaseSpellingError) { _ = try LeaseRequest(spelling: spelling) } catch {
                throw .invalidResource(spelling, why: "\(error.problem); write LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]")
            }
            return self
        }
    }

    private static func disk(named name: String) throws(LockManagerError) -> NamedDisk {
        do throws(NamedDisk.Problem) { return try NamedDisk(name, in: nil) } catch {
            throw .invalidResource(name, why: error.reason)
        }
    }

    /// What a disk's lease goes by, and ``GuestLease/disk`` shows.
    package static func path(ofDisk name: String) throws(LockManagerError) -> String { try disk(named: name).path }

    /// Whether both are one thing, however it is used.
    func names(_ other: Resource) -> Bool {
        switch (self, other) {
        case (.disk(let name, _), .disk(let otherName, _)):
            ((try? Resource.path(ofDisk: name)) ?? name).utf8.elementsEqual(
                ((try? Resource.path(ofDisk: otherName)) ?? otherName).utf8)
        case (.lease(let spelling), .lease(let otherSpelling)): spelling.utf8.elementsEqual(otherSpelling.utf8)
        case (.disk, .lease), (.lease, .disk): false
        }
    }

    /// The supervisor's option for it.
    var option: [String] {
        switch self {
        case .disk(let path, .exclusive): ["--disk", path]
        case .disk(let path, .shared): ["--shared-disk", path]
        case .disk(let path, .readonly): ["--readonly-disk", path]
        case .lease(let spelling): ["--lease", spelling]
        }
    }

    /// The call that takes it.
    func acquire(waitSeconds: Double) -> Call {
        switch self {
        case .disk(let path, let mode):
            let wireMode: WireDisk.Mode =
                switch mode {
                case .exclusive: .exclusive
                case .shared: .shared
                case .readonly: .readonly
                }
            return .acquire(disks: [WireDisk(path: path, mode: wireMode)], leases: [], waitSeconds: waitSeconds)
        case .lease(let spelling): return .acquire(disks: [], leases: [spelling], waitSeconds: waitSeconds)
        }
    }

    /// The call that gives it back.
    var release: Call {
        switch self {
        case .disk(let path, _): .release(disks: [path], leases: [])
        case .lease(let spelling): .release(disks: [], leases: [spelling])
        }
    }
}
