import DiskNames
import Glibc
import Platform
import Synchronization

/// A guest's hold on its disks as this host sees them: one device under two names has two leases, and only here can it be
/// told that it is one.
public final class DeviceClaim: Sendable {
    /// A disk by the name that its lease is made of.
    public struct Disk: Equatable, Sendable {
        /// The path.
        public let path: String
        /// Whether it is shared with other guests.
        public let isShared: Bool
        /// Whether the guest's own command opens it: a further name given by an option only adds a lease.
        public let isOpenedByCommand: Bool

        /// States all of it.
        public init(path: String, isShared: Bool, isOpenedByCommand: Bool) {
            self.path = path
            self.isShared = isShared
            self.isOpenedByCommand = isOpenedByCommand
        }
    }

    /// Two names of one device.
    public struct Conflict: Equatable, Sendable {
        /// The one that this guest wants.
        public let path: String
        /// The other one, where it can be told.
        public let otherPath: String?
        /// The guest that has it under that name; nil: this guest itself.
        public let guest: String?
        /// That guest's supervisor.
        public let supervisorPid: Int32?
    }

    private let disks: Mutex<[Disk]>
    private let directory: RunDirectory
    private let locks = Mutex<DeviceLocks?>(nil)
    /// What each path was when it was claimed: its file may be gone when it is given up.
    private let identities = Mutex<[[UInt8]: DiskIdentity]>([:])

    /// Claims nothing yet.
    public init(_ disks: [Disk], in directory: RunDirectory) {
        self.disks = Mutex(disks)
        self.directory = directory
    }

    /// Goes on with a claim that this process made as another program.
    ///
    /// - Parameters:
    ///   - carried: `carried` of then.
    ///   - file: what was `descriptor`; nil: there was none.
    public init(_ carried: Carried, adopting file: Int32?, in directory: RunDirectory) {
        disks = Mutex(carried.disks)
        self.directory = directory
        guard let file else { return }
        locks.withLock {
            $0 = DeviceLocks(adopting: Descriptor(adopting: file), in: directory.path, exclusive: carried.exclusive)
        }
    }

    /// What a claim is made of, beside its descriptor.
    public struct Carried: Equatable, Sendable {
        /// The disks.
        public var disks: [Disk]
        /// The bytes that are locked exclusively.
        public var exclusive: [Int64]

        /// States both.
        public init(disks: [Disk], exclusive: [Int64]) {
            self.disks = disks
            self.exclusive = exclusive
        }
    }

    /// What another program needs to go on with the claim.
    public var carried: Carried {
        Carried(disks: disks.withLock { $0 }, exclusive: locks.withLock { $0?.exclusiveOffsets ?? [] })
    }

    /// The descriptor that the claim lives by, to be kept open while anything of the guest lives.
    public var descriptor: Int32? { locks.withLock { $0?.number } }

    /// Makes the descriptor, for a guest that takes its devices when it runs already.
    public func prepare() throws(SystemError) {
        try locks.withLock { (locks) throws(SystemError) in
            if locks == nil { locks = try DeviceLocks(in: directory.path) }
        }
    }

    /// Takes all devices, once their leases are held: then nobody has them by the same name. What is being let go of by a
    /// guest that was killed is waited for, half a second at most. Blocks for as long as a look at the disks does.
    ///
    /// - Returns: the first disk that somebody has under another name.
    public func take() throws(SystemError) -> Conflict? {
        try take(disks.withLock { $0 })
    }

    /// Takes further devices, as `take` does, or some of those that it has alone from now on; a claim that fails leaves the
    /// others.
    public func take(more: [Disk]) throws(SystemError) -> Conflict? {
        let before = disks.withLock { $0 }
        let known = before.filter { one in !more.contains { $0.path.hasSameBytes(as: one.path) } }
        let more = more.map { disk in
            let old = before.first { $0.path.hasSameBytes(as: disk.path) }
            return Disk(
                path: disk.path, isShared: disk.isShared,
                isOpenedByCommand: old?.isOpenedByCommand ?? disk.isOpenedByCommand)
        }
        let conflict = try take(known + more)
        if conflict == nil { disks.withLock { $0 = known + more } }
        return conflict
    }

    /// Shares devices that it had alone.
    public func share(_ paths: [String]) {
        let isMeant = { (disk: Disk) in paths.contains { $0.hasSameBytes(as: disk.path) } }
        let identities = disks.withLock { disks in
            for index in disks.indices where isMeant(disks[index]) {
                disks[index] = Disk(
                    path: disks[index].path, isShared: true, isOpenedByCommand: disks[index].isOpenedByCommand)
            }
            // Under another name it may still be alone.
            let alone = disks.filter { !$0.isShared }.compactMap(identity)
            return disks.filter(isMeant).compactMap(identity).filter { !alone.contains($0) }
        }
        locks.withLock { locks in
            for identity in identities { try? locks?.share(identity) }
        }
    }

    private func identity(of disk: Disk) -> DiskIdentity? {
        identities.withLock { $0[Array(disk.path.utf8)] } ?? DiskIdentity(of: disk.path)
    }

    private func take(_ disks: [Disk]) throws(SystemError) -> Conflict? {
        while true {
            do throws(SystemError) { return try takeOnce(disks) } catch {
                // The last of the other guests has just removed the file.
                guard error.number == EAGAIN else { throw error }
            }
        }
    }

    private func takeOnce(_ disks: [Disk]) throws(SystemError) -> Conflict? {
        let found = disks.compactMap { disk in DiskIdentity(of: disk.path).map { (disk: disk, identity: $0) } }
        for (index, one) in found.enumerated() where one.disk.isOpenedByCommand {
            if let other = found[..<index].first(where: {
                $0.identity == one.identity && $0.disk.isOpenedByCommand
                    && !$0.disk.path.hasSameBytes(as: one.disk.path)
            }) {
                return Conflict(path: one.disk.path, otherPath: other.disk.path, guest: nil, supervisorPid: nil)
            }
        }
        if found.isEmpty { return nil }
        return try locks.withLock { (locks) throws(SystemError) in
            // Those that are there belong to the guest's processes too, and stay.
            if locks == nil || locks?.isInPlace == false { locks = try DeviceLocks(in: directory.path) }
            for (disk, identity) in found {
                var attempts = 0
                while try locks?.take(identity, shared: disk.isShared) == false {
                    attempts += 1
                    if attempts == DeviceClaim.attempts { return conflict(disk, identity) }
                    usleep(10_000)
                }
                identities.withLock { $0[Array(disk.path.utf8)] = identity }
            }
            // Removed between the opening and the first lock: once more, in the one that is there now.
            guard locks?.isInPlace == true else { throw SystemError("lock", on: directory.path, number: EAGAIN) }
            return nil
        }
    }

    /// Gives the devices up while the guest stands still without its leases: who has those may have the devices as well. The
    /// claim may be taken again.
    public func suspend() {
        locks.withLock { $0?.leaveAll() }
    }

    /// Gives the devices up, and leaves no file where nobody else has any. For the end, when nothing of the guest is left.
    public func leave() {
        locks.withLock { locks in
            locks?.leave()
            locks = nil
        }
    }

    /// Gives some devices up, which the guest doesn't have any more.
    public func leave(_ paths: [String]) {
        let isLeaving = { (disk: Disk) in paths.contains { $0.hasSameBytes(as: disk.path) } }
        let (leaving, staying) = disks.withLock { disks in
            let leaving = paths.map { Disk(path: $0, isShared: false, isOpenedByCommand: false) }.compactMap(identity)
            disks.removeAll(where: isLeaving)
            return (leaving, disks.compactMap(identity))
        }
        for identity in leaving where !staying.contains(identity) {
            locks.withLock { $0?.leave(identity) }
        }
        identities.withLock { identities in
            for path in paths { identities[Array(path.utf8)] = nil }
        }
    }

    private static let attempts = 50

    private func conflict(_ disk: Disk, _ identity: DiskIdentity) -> Conflict {
        for paths in directory.guestDirectories() {
            guard let pid = paths.livingSupervisor, pid != getpid(), let state = paths.readState() else { continue }
            let other = state.status.leases.compactMap(\.disk).first { DiskIdentity(of: $0) == identity }
            if let other {
                return Conflict(path: disk.path, otherPath: other, guest: state.status.name, supervisorPid: pid)
            }
        }
        return Conflict(path: disk.path, otherPath: nil, guest: nil, supervisorPid: nil)
    }

    /// What to warn of in the disks' names: those that are another disk after a reboot, or not the same on other hosts.
    /// Blocks like `take`.
    public func advice() -> [String] {
        disks.withLock { $0 }.compactMap { DiskName.advice(for: $0.path) }
    }
}
