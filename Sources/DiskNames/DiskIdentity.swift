import Glibc

/// What a disk's path really is on this host, however it is spelled and through whichever links.
///
/// Two paths of one identity are one disk. The opposite doesn't hold: what lies above another device has a number of its
/// own (a partition, a multipath map and each of its paths, a loop device over a file), and so has a file that is reached
/// through two mounts of one network file system. The numbers are this host's, and a device's only until it goes away.
public struct DiskIdentity: Hashable, Sendable {
    enum Kind: Hashable {
        /// `st_rdev`.
        case blockDevice(number: UInt64)
        /// `st_dev` and `st_ino`.
        case file(device: UInt64, inode: UInt64)
    }

    let kind: Kind

    /// Looks at a path, following symbolic links. Nil where nothing is that can be looked at, or neither a block device
    /// nor a plain file.
    ///
    /// It is one stat, so a FIFO or a device can't hold it. A network file system whose server doesn't answer can, for as
    /// long as it doesn't.
    public init?(of path: String) {
        var status = stat()
        // Only a signal that ends the process interrupts a stat (`man 7 signal`), so there is nothing to repeat.
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFBLK: kind = .blockDevice(number: UInt64(status.st_rdev))
        case S_IFREG: kind = .file(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        default: return nil
        }
    }

    init(_ kind: Kind) { self.kind = kind }

    /// Whether it is a block device.
    public var isBlockDevice: Bool {
        if case .blockDevice = kind { true } else { false }
    }
}
