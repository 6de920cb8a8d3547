import CSanlock
import Glibc
import Leases

/// libsanlock's calls with Swift's types. Each blocks for as long as the daemon takes.
enum SanlockCalls {
    /// The most resources that one call takes (`SANLK_MAX_RESOURCES`).
    static let resourcesPerCall = Int(SANLK_MAX_RESOURCES)

    /// Registers the process; the descriptor is the caller's.
    static func register() throws(SanlockCode) -> Int32 {
        try check(sanlock_register())
    }

    /// Forbids every command on a registered connection.
    static func restrict(_ socket: Int32) throws(SanlockCode) {
        try check(sanlock_restrict(socket, UInt32(SANLK_RESTRICT_ALL)))
    }

    /// Has the daemon run a program, rather than send SIGTERM, when a lockspace of the process's leases has failed, with the
    /// process's pid as a further argument; and without it when somebody asks for one of them.
    ///
    /// To be called before the first lease is taken: a lease keeps the program that was set then. Path and arguments are at
    /// most 127 bytes each; the daemon cuts the arguments at spaces, and at nothing else.
    static func notify(on socket: Int32, by path: String, _ arguments: String) throws(SanlockCode) {
        var text = [CChar](arguments.utf8CString)
        try check(sanlock_killpath(socket, UInt32(SANLK_KILLPATH_PID), path, &text))
    }

    /// The longest path or text of arguments that `notify` takes, in bytes (`SANLK_HELPER_PATH_LEN`).
    static let longestNotice = Int(SANLK_HELPER_PATH_LEN) - 1

    /// Takes up to eight leases again for a registered process, all or none, each under the version that it had.
    static func retake(_ leases: some Collection<HeldLease>, for pid: Int32) throws(SanlockCode) {
        let arguments = ResourceArguments(leases)
        try check(
            arguments.withPointers {
                sanlock_acquire(-1, pid, UInt32(SANLK_ACQUIRE_OWNER_NOWAIT), Int32($0.count), $0.baseAddress, nil)
            })
    }

    /// Takes up to eight leases for a registered process, all or none, without waiting for an owner.
    ///
    /// - Parameter hosts: how many hosts each lease is to have slots for from now on; nil leaves it.
    static func acquire(
        _ requests: some Collection<LeaseRequest>, for pid: Int32, hosts: UInt32? = nil
    ) throws(SanlockCode) {
        let arguments = ResourceArguments(requests, hosts: hosts)
        try check(
            arguments.withPointers {
                sanlock_acquire(-1, pid, UInt32(SANLK_ACQUIRE_OWNER_NOWAIT), Int32($0.count), $0.baseAddress, nil)
            })
    }

    /// The same for the process that registered a connection, on that connection.
    static func acquire(
        _ requests: some Collection<LeaseRequest>, on socket: Int32, hosts: UInt32? = nil
    ) throws(SanlockCode) {
        let arguments = ResourceArguments(requests, hosts: hosts)
        try check(
            arguments.withPointers {
                sanlock_acquire(socket, -1, UInt32(SANLK_ACQUIRE_OWNER_NOWAIT), Int32($0.count), $0.baseAddress, nil)
            })
    }

    /// Gives back leases that were taken on a connection.
    static func release(_ requests: some Collection<LeaseRequest>, on socket: Int32) throws(SanlockCode) {
        let arguments = ResourceArguments(requests)
        try check(arguments.withPointers { sanlock_release(socket, -1, 0, Int32($0.count), $0.baseAddress) })
    }

    /// Gives back up to eight leases of a process; they are free on return. One that isn't held makes the call fail, the
    /// others are given back all the same.
    ///
    /// By name: `SANLK_REL_ALL` overruns an array of eight in the daemon (3.8.5) where more are held.
    static func release(_ requests: some Collection<LeaseRequest>, of pid: Int32) throws(SanlockCode) {
        let arguments = ResourceArguments(requests)
        try check(
            arguments.withPointers { sanlock_release(-1, pid, 0, Int32($0.count), $0.baseAddress) })
    }

    /// Holds a lease of a process in the way that the request has, without waiting for an owner. EALREADY: it is held so; EAGAIN:
    /// others share it.
    static func convert(_ request: LeaseRequest, of pid: Int32) throws(SanlockCode) {
        let arguments = ResourceArguments([request])
        try check(
            arguments.withPointers { sanlock_convert(-1, pid, UInt32(SANLK_CONVERT_OWNER_NOWAIT), $0[0]) })
    }

    /// Writes into a lease that its holder give it up, and has the holder's daemon told, by and by.
    ///
    /// - Parameter version: what the asker would hold it under: one more than the holder does.
    static func demand(_ resource: LeaseResource, version: UInt64, _ mode: LeaseDemand.Mode) throws(SanlockCode) {
        let request = LeaseRequest(disk: nil, resource: resource, mode: .exclusive)
        let arguments = ResourceArguments([HeldLease(request: request, version: version)])
        let force = mode == .force ? SANLK_REQ_FORCE : SANLK_REQ_GRACEFUL
        try check(arguments.withPointers { sanlock_request(0, UInt32(force), $0[0]) })
    }

    /// The leases that a process holds, by lockspace and resource, with the lver of each exclusive one.
    ///
    /// - Throws: -81 where one of them has a space in its path.
    static func held(by pid: Int32) throws(SanlockCode) -> [[String]: UInt64?] {
        var count: Int32 = 0
        var state: UnsafeMutablePointer<CChar>?
        try check(sanlock_inquire(-1, pid, 0, &count, &state))
        defer { free(state) }
        guard let state, count > 0 else { return [:] }
        var list: UnsafeMutablePointer<UnsafeMutablePointer<sanlk_resource>?>?
        try check(sanlock_state_to_args(state, &count, &list))
        guard let list else { return [:] }
        var held: [[String]: UInt64?] = [:]
        for index in 0..<Int(count) {
            guard let pointer = list[index] else { continue }
            let isShared = pointer.pointee.flags & UInt32(SANLK_RES_SHARED) != 0
            let name = [text(pointer.pointee.lockspace_name), text(pointer.pointee.name)]
            held.updateValue(isShared || pointer.pointee.num_disks == 0 ? nil : pointer.pointee.lver, forKey: name)
            free(pointer)
        }
        free(list)
        return held
    }

    /// The version that a lease's storage shows; reads one block.
    static func version(of resource: LeaseResource) throws(SanlockCode) -> UInt64 {
        let arguments = ResourceArguments([LeaseRequest(disk: nil, resource: resource, mode: .exclusive)])
        var version: UInt64 = 0
        try check(
            arguments.withPointers { pointers in
                let code = sanlock_read_resource(pointers[0], 0)
                version = pointers[0]?.pointee.lver ?? 0
                return code
            })
        return version
    }

    /// Joins a lockspace and waits for it.
    static func join(_ name: String, hostId: UInt64, path: String, ioTimeoutSeconds: UInt32) throws(SanlockCode) {
        var lockspace = self.lockspace(name, hostId: hostId, path: path)
        try check(sanlock_add_lockspace_timeout(&lockspace, 0, ioTimeoutSeconds))
    }

    /// Whether a lockspace is joined as this host and from this file.
    ///
    /// - Parameter waits: whether to wait where it is being joined at this moment; otherwise it isn't joined yet.
    static func isJoined(_ name: String, hostId: UInt64, path: String, waits: Bool) throws(SanlockCode) -> Bool {
        var lockspace = self.lockspace(name, hostId: hostId, path: path)
        let code = sanlock_inq_lockspace(&lockspace, waits ? UInt32(SANLK_INQ_WAIT) : 0)
        if code == -ENOENT || code == -EINPROGRESS { return false }
        try check(code)
        return true
    }

    /// The id of this host in each lockspace that the daemon has joined.
    static func joinedLockspaces() throws(SanlockCode) -> [(name: String, hostId: UInt64, path: String)] {
        var list: UnsafeMutablePointer<sanlk_lockspace>?
        var count: Int32 = 0
        try check(sanlock_get_lockspaces(&list, &count, 0))
        defer { free(list) }
        guard let list else { return [] }
        return (0..<Int(count)).map { index in
            (text(list[index].name), list[index].host_id, text(list[index].host_id_disk.path))
        }
    }

    /// Leaves a lockspace and waits for it.
    ///
    /// - Parameter ifUnused: refuse (EBUSY) while a process of this host has a lease in it; else sanlock kills those.
    static func leave(_ name: String, hostId: UInt64, path: String, ifUnused: Bool) throws(SanlockCode) {
        var lockspace = self.lockspace(name, hostId: hostId, path: path)
        try check(sanlock_rem_lockspace(&lockspace, ifUnused ? UInt32(SANLK_REM_UNUSED) : 0))
    }

    /// Formats a file as a lockspace.
    static func writeLockspace(
        _ name: String, path: String, sizes: LockspaceSlots.Sizes, ioTimeoutSeconds: UInt32
    ) throws(SanlockCode) {
        var lockspace = self.lockspace(name, hostId: 0, path: path)
        if sizes == .large { lockspace.flags = UInt32(SANLK_LSF_SECTOR4K | SANLK_LSF_ALIGN8M) }
        try check(sanlock_write_lockspace(&lockspace, 0, 0, ioTimeoutSeconds))
    }

    /// Formats a file as a lease for hosts 1 to `hosts`.
    ///
    /// The daemon stores the argument that the header calls `max_hosts` as the number of hosts (sanlock 3.8.5).
    static func writeResource(
        _ resource: LeaseResource, sizes: LockspaceSlots.Sizes, hosts: Int32
    ) throws(SanlockCode) {
        let request = LeaseRequest(disk: nil, resource: resource, mode: .exclusive)
        let arguments = ResourceArguments([request])
        try check(
            arguments.withPointers { pointers in
                if sizes != .usual {
                    let align = (sizes.alignBytes >> 20) << 4
                    let sector = sizes.sectorBytes == 4096 ? SANLK_RES_SECTOR4K : SANLK_RES_SECTOR512
                    pointers[0]?.pointee.flags |= UInt32(align) | UInt32(sector)
                }
                return sanlock_write_resource(pointers[0], hosts, 0, 0)
            })
    }

    /// Whether a file is a lockspace of this name, as the daemon sees it.
    static func readLockspace(_ name: String, path: String) throws(SanlockCode) {
        var lockspace = self.lockspace(name, hostId: 1, path: path)
        var ioTimeoutSeconds: UInt32 = 0
        try check(sanlock_read_lockspace(&lockspace, 0, &ioTimeoutSeconds))
    }

    /// The hosts that own a lease, and its version, as its storage says.
    static func owners(of resource: LeaseResource) throws(SanlockCode) -> (hosts: [LeaseOwner], version: UInt64) {
        let request = LeaseRequest(disk: nil, resource: resource, mode: .exclusive)
        let arguments = ResourceArguments([request])
        var list: UnsafeMutablePointer<sanlk_host>?
        var count: Int32 = 0
        var version: UInt64 = 0
        try check(
            arguments.withPointers { pointers in
                let code = sanlock_read_resource_owners(pointers[0], 0, &list, &count)
                version = pointers[0]?.pointee.lver ?? 0
                return code
            })
        defer { free(list) }
        guard let list else { return ([], version) }
        return ((0..<Int(count)).map { LeaseOwner(id: list[$0].host_id, generation: list[$0].generation) }, version)
    }

    /// The hosts of a joined lockspace, as the daemon has watched them.
    static func hosts(of lockspace: String) throws(SanlockCode) -> [WatchedHost] {
        var list: UnsafeMutablePointer<sanlk_host>?
        var count: Int32 = 0
        var name = [CChar](lockspace.utf8CString)
        try check(sanlock_get_hosts(&name, 0, &list, &count, 0))
        defer { free(list) }
        guard let list else { return [] }
        return (0..<Int(count)).map { WatchedHost(list[$0]) }
    }

    @discardableResult
    private static func check(_ code: Int32) throws(SanlockCode) -> Int32 {
        guard code >= 0 else { throw SanlockCode(number: code) }
        return code
    }

    private static func lockspace(_ name: String, hostId: UInt64, path: String) -> sanlk_lockspace {
        var lockspace = sanlk_lockspace()
        fill(&lockspace.name, with: name)
        lockspace.host_id = hostId
        fill(&lockspace.host_id_disk.path, with: path)
        return lockspace
    }
}

/// A host that owns a lease, alone or with others.
struct LeaseOwner: Equatable {
    let id: UInt64
    /// Which of its stays in the lockspace it took the lease in.
    let generation: UInt64
}

/// Copies text into a fixed C array that is zero before; what doesn't fit is cut, which callers have ruled out.
func fill<Array>(_ array: inout Array, with text: String) {
    withUnsafeMutableBytes(of: &array) { $0.copyBytes(from: text.utf8.prefix($0.count)) }
}

/// The text in a fixed C array, which need not end in NUL.
func text<Array>(_ array: Array) -> String {
    withUnsafeBytes(of: array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
