import Platform

/// Says on this host that disks are in use, whatever they are called: a lease is named by a disk's path and can't tell
/// that two paths are one disk.
///
/// The locks are single bytes of the file `devices` in the run directory, so only processes with the same run directory
/// see each other's. They belong to the open file: a forked child shares them, and they go when the last process that
/// has it open is dead. The file goes with the last of them.
///
/// The byte of a disk is `hash ^ (hash >> 62)` in its lower 62 bits, where the hash is 64-bit FNV-1a over the letter `b`
/// and `st_rdev` of a block device, or the letter `f`, `st_dev` and `st_ino` of a file, each number in eight bytes with
/// the lowest first. Where two disks fall on one byte, which one pair in 4.6 × 10^18 does, one of two starts is refused.
public struct DeviceLocks: ~Copyable, Sendable {
    private let locks: RangeLock
    private var exclusive: Set<Int64> = []

    /// The descriptor that the locks live by, close-on-exec and inherited by fork. Borrowed.
    public var number: Int32 { locks.number }

    /// Opens `RUN_DIRECTORY/devices`, which is made with mode 0600 where it is missing. The directory has to be there.
    /// Nothing is locked yet.
    public init(in runDirectory: String) throws(SystemError) {
        locks = try RangeLock(on: "\(runDirectory)/devices")
    }

    /// Goes on with locks that this process took as another program.
    ///
    /// - Parameter exclusive: `exclusiveOffsets` of then.
    public init(adopting file: consuming Descriptor, in runDirectory: String, exclusive: [Int64]) {
        locks = RangeLock(adopting: file, on: "\(runDirectory)/devices")
        self.exclusive = Set(exclusive)
    }

    /// The bytes that are locked exclusively.
    public var exclusiveOffsets: [Int64] { exclusive.sorted() }

    /// Whether what is locked is what others will lock: the last one to leave may have removed the file meanwhile.
    public var isInPlace: Bool { locks.isInPlace }

    /// Removes the file if nobody else has anything locked in it. The locks are given up with the value.
    public borrowing func leave() {
        if (try? locks.tryLockAll()) == true, locks.isInPlace { locks.removeFile() }
    }

    /// Locks a disk, without waiting, until the last copy of the descriptor is closed. One that is locked here already
    /// stays so, exclusively if it was asked for once: a guest may name a disk twice.
    ///
    /// - Parameter shared: together with others that share it, else alone.
    /// - Returns: false where another process (strictly, another open file) holds it in a way that excludes this one.
    /// - Throws: what `RangeLock.tryLock` does.
    public mutating func take(_ identity: DiskIdentity, shared: Bool) throws(SystemError) -> Bool {
        let offset = DeviceLocks.offset(of: identity)
        // A read lock would take the place of the write lock.
        if exclusive.contains(offset) { return true }
        guard try locks.tryLock(offset: offset, exclusive: !shared) else { return false }
        if !shared { exclusive.insert(offset) }
        return true
    }

    /// Shares a disk that was locked alone.
    public mutating func share(_ identity: DiskIdentity) throws(SystemError) {
        let offset = DeviceLocks.offset(of: identity)
        guard exclusive.contains(offset), try locks.tryLock(offset: offset, exclusive: false) else { return }
        exclusive.remove(offset)
    }

    /// Gives a disk up.
    public mutating func leave(_ identity: DiskIdentity) {
        let offset = DeviceLocks.offset(of: identity)
        exclusive.remove(offset)
        locks.unlock(offset: offset)
    }

    /// Gives every disk up, and keeps the file open.
    public mutating func leaveAll() {
        exclusive = []
        locks.unlockAll()
    }

    /// The byte that stands for a disk.
    static func offset(of identity: DiskIdentity) -> Int64 {
        var bytes: [UInt8]
        switch identity.kind {
        case .blockDevice(let number): bytes = [UInt8(ascii: "b")] + littleEndian(number)
        case .file(let device, let inode):
            bytes = [UInt8(ascii: "f")] + littleEndian(device) + littleEndian(inode)
        }
        return RangeLock.offset(of: bytes)
    }

    private static func littleEndian(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
}
