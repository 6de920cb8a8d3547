/// What is known of kinds of file systems. Source: `linux/magic.h`, `man 2 statfs`.
enum FileSystemKind {
    /// Who can have the same files.
    enum Reach: Equatable, Sendable {
        case shared, local, unknown
    }

    private static let shared: [Int64: String] = [
        0x6969: "nfs", 0xff53_4d42: "cifs", 0xfe53_4d42: "smb", 0x517b: "smb", 0x0116_1970: "gfs2",
        0x7461_636f: "ocfs2", 0x00c3_6400: "ceph", 0x0bd0_0bd0: "lustre", 0x4750_4653: "gpfs", 0x5346_414f: "afs",
        0x0102_1997: "9p", 0x1980_0202: "beegfs",
    ]

    private static let local: [Int64: String] = [
        0xef53: "ext4", 0x5846_5342: "xfs", 0x9123_683e: "btrfs", 0x0102_1994: "tmpfs", 0x8584_58f6: "ramfs",
        0x794c_7630: "overlay", 0x2fc1_2fc1: "zfs", 0xf2f5_2010: "f2fs", 0x4d44: "vfat", 0xca45_1a4e: "bcachefs",
    ]

    private static let sharedInUserSpace = ["fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.sshfs", "virtiofs"]

    /// What a kind is called.
    static func name(of magic: Int64) -> String? { shared[magic] ?? local[magic] }

    /// Who can have the same files on a file system of a kind.
    ///
    /// - Parameter kind: what the mount table calls it; it alone tells one in user space from another.
    static func reach(of magic: Int64, kind: String?) -> Reach {
        if let kind, sharedInUserSpace.contains(kind) { return .shared }
        if shared[magic] != nil { return .shared }
        return local[magic] == nil ? .unknown : .local
    }
}
