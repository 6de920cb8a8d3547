import Platform

/// Whether a disk's path is a name that stays, and that every host can use: leases are named by it, as it is given.
public struct DiskName: Sendable {
    /// Where device nodes are, without any link in it.
    private let devices: String

    init(devices: String) { self.devices = devices }

    /// One clause for a warning, with a better name where there is one; nil where the path is fine, or isn't an absolute
    /// path to a block device or a plain file that can be looked at.
    ///
    /// Warned of are names that the kernel gives in order of discovery, and symbolic links anywhere in a path but those
    /// that the device manager keeps in /dev.
    ///
    /// It costs a stat, and a readlink for each part of the path; folders below /dev are only searched for a device that
    /// is warned of. It blocks for as long as a network file system on the way doesn't answer.
    public static func advice(for path: String) -> String? {
        DiskName(devices: "/dev").advice(for: path)
    }

    func advice(for path: String) -> String? {
        guard path.startsWithBytes(of: "/"), let identity = DiskIdentity(of: path), let walk = PathWalk(path) else {
            return nil
        }
        let links = walk.links.filter { !identity.isBlockDevice || nameInDevices($0.path) == nil }
        if !links.isEmpty { return advice(for: path, of: identity, through: links, on: walk) }
        guard identity.isBlockDevice, let name = walk.names.first, isGivenByDiscovery(name, on: walk) else {
            return nil
        }
        let better = StableNames(devices: devices).best(for: identity)
        return "\(path) \(DiskName.byDiscovery); \(better.map { "use \($0)" } ?? DiskName.noneFound)"
    }

    private static let byDiscovery = "is named by order of discovery and may be another disk after a reboot"
    private static let noneFound = "no stable name was found"

    private func advice(
        for path: String, of identity: DiskIdentity, through links: [PathWalk.Link], on walk: PathWalk
    ) -> String? {
        // What changed meanwhile, or looks different from here (a link in /proc), would be advice to use another disk.
        guard DiskIdentity(of: walk.real) == identity else { return nil }
        let start: String
        if let link = links.first, !links.contains(where: \.isLast) {
            start = "\(path) goes through the symbolic link \(link.path) to"
        } else {
            start = "\(path) is a symbolic link to"
        }
        let sameName = "every host must use the same name"
        guard nameInDevices(walk.real) != nil, identity.isBlockDevice else {
            return "\(start) \(walk.real); \(sameName): use \(walk.real)"
        }
        if let name = walk.names.first(where: { nameInDevices($0) != nil && !isGivenByDiscovery($0, on: walk) }) {
            return "\(start) \(name); \(sameName): use \(name)"
        }
        guard let better = StableNames(devices: devices).best(for: identity) else {
            return "\(start) \(walk.real), which \(DiskName.byDiscovery); \(DiskName.noneFound)"
        }
        return "\(start) \(walk.real); \(sameName): use \(better)"
    }

    /// The parts of a path below /dev; nil where it is elsewhere.
    private func nameInDevices(_ path: String) -> [String]? {
        guard path.startsWithBytes(of: devices + "/") else { return nil }
        return path.utf8.dropFirst(devices.utf8.count).split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
    }

    private func isGivenByDiscovery(_ name: String, on walk: PathWalk) -> Bool {
        guard let parts = nameInDevices(name) else { return false }
        switch parts.count {
        // The kernel makes nodes. A link that looks like one of its names is somebody's rule for a name that stays.
        case 1: return name.hasSameBytes(as: walk.real) && KernelName.matches(parts[0])
        // Device numbers, and the count of disks found since the boot.
        case 2: return parts[0] == "block"
        case 3: return parts[0] == "disk" && parts[1] == "by-diskseq"
        default: return false
        }
    }
}
