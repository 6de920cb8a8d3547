import Platform

/// Looks for names of a block device that stay with it.
struct StableNames {
    /// Where device nodes are: /dev.
    let devices: String

    /// The best first. What the storage says of itself is the same on every host that reaches it and on every boot: its
    /// worldwide number, or the name of a volume in a pool. Then what a host's configuration says (device-mapper maps
    /// may be named by each host on its own, as multipath's mpatha), and weaker forms of by-id. A partition's UUID lies
    /// in a table that a guest on the partition can't write. A by-path name has the host's own slots in it. A file system's
    /// UUID comes last: the guest can change it, and a copy of the disk has the same.
    ///
    /// A logical volume's /dev/VG/LV is in front of all.
    private static let order = [
        "disk/by-id/wwn-", "disk/by-id/nvme-eui.", "disk/by-id/nvme-uuid.", "disk/by-id/nvme-nvme.",
        "disk/by-id/scsi-3", "disk/by-id/dm-uuid-mpath-", "disk/by-id/md-uuid-", "zvol/", "rbd/", "mapper/",
        "disk/by-id/", "md/", "disk/by-partuuid/", "disk/by-path/", "disk/by-uuid/",
    ]
    /// Each folder, and how many further levels it has at most.
    private static let folders = [
        ("disk/by-id", 0), ("disk/by-partuuid", 0), ("disk/by-path", 0), ("disk/by-uuid", 0), ("mapper", 0), ("md", 0),
        ("rbd", 2), ("zvol", 8),
    ]

    /// The path of the best name; nil where there is none.
    func best(for identity: DiskIdentity) -> String? {
        let found = StableNames.folders.flatMap { names(of: identity, in: $0.0, levels: $0.1) }
        let volume = found.lazy.compactMap(StableNames.logicalVolume)
            .first { DiskIdentity(of: "\(devices)/\($0)") == identity }
        return (volume ?? found.min { StableNames.isBetter($0, $1) }).map { "\(devices)/\($0)" }
    }

    private func names(of identity: DiskIdentity, in folder: String, levels: Int) -> [String] {
        let names = (try? Files.names(in: "\(devices)/\(folder)")) ?? []
        return names.flatMap { name -> [String] in
            let path = "\(folder)/\(name)"
            if DiskIdentity(of: "\(devices)/\(path)") == identity { return [path] }
            let isFolder = levels > 0 && Files.linkTarget("\(devices)/\(path)") == nil
            return isFolder ? self.names(of: identity, in: path, levels: levels - 1) : []
        }
    }

    /// Of two names of one rank the longer says more: `nvme-MODEL_SERIAL` is any namespace of the device, with `_1`
    /// behind it it's the first. Beyond that any order will do that is the same on every host.
    private static func isBetter(_ left: String, _ right: String) -> Bool {
        let (leftRank, rightRank) = (rank(left), rank(right))
        if leftRank != rightRank { return leftRank < rightRank }
        let (leftCount, rightCount) = (left.utf8.count, right.utf8.count)
        return leftCount != rightCount ? leftCount > rightCount : left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    private static func rank(_ name: String) -> Int {
        order.firstIndex { name.startsWithBytes(of: $0) } ?? order.count
    }

    /// `VG/LV` for `mapper/VG-LV`, where one hyphen joins the two and each of their own is doubled. Nil for all else.
    private static func logicalVolume(of name: String) -> String? {
        let folder = "mapper/"
        guard name.startsWithBytes(of: folder) else { return nil }
        var parts: [[UInt8]] = [[]]
        var rest = Substring(name).utf8.dropFirst(folder.utf8.count)
        let hyphen = UInt8(ascii: "-")
        while let byte = rest.popFirst() {
            if byte == hyphen, rest.first != hyphen {
                parts.append([])
            } else {
                if byte == hyphen { rest = rest.dropFirst() }
                parts[parts.count - 1].append(byte)
            }
        }
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    }
}
