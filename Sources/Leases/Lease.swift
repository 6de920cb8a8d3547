/// How a lease is held.
public enum LeaseMode: String, Sendable {
    /// By one holder on one host.
    case exclusive
    /// By any number of holders, none of them exclusive.
    case shared
}

/// A place on shared storage where a lease is kept, in sanlock's terms.
public struct LeaseResource: Hashable, Sendable {
    /// The lockspace, 1 to 48 bytes.
    public var lockspace: String
    /// The resource, 1 to 48 bytes.
    public var name: String
    /// The file or device.
    public var path: String
    /// Where in it, in bytes.
    public var offsetBytes: UInt64

    /// The same bytes: texts that only look the same name different files.
    public static func == (left: LeaseResource, right: LeaseResource) -> Bool {
        left.lockspace.utf8.elementsEqual(right.lockspace.utf8) && left.name.utf8.elementsEqual(right.name.utf8)
            && left.path.utf8.elementsEqual(right.path.utf8) && left.offsetBytes == right.offsetBytes
    }

    /// Of the parts that are never written in two ways.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(offsetBytes)
        for byte in name.utf8 { hasher.combine(byte) }
    }

    /// Names a place; nothing is looked at.
    public init(lockspace: String, name: String, path: String, offsetBytes: UInt64) {
        self.lockspace = lockspace
        self.name = name
        self.path = path
        self.offsetBytes = offsetBytes
    }
}

/// A lease that a guest needs.
public struct LeaseRequest: Equatable, Sendable {
    /// The disk it stands for; nil for a lease that was named explicitly.
    public var disk: String?
    /// The place.
    public var resource: LeaseResource
    /// How it is to be held.
    public var mode: LeaseMode

    /// Asks for nothing yet.
    public init(disk: String?, resource: LeaseResource, mode: LeaseMode) {
        self.disk = disk
        self.resource = resource
        self.mode = mode
    }

    /// What a person calls it: the disk, else lockspace and resource.
    public var subject: String {
        disk ?? "lease \(resource.lockspace):\(resource.name)"
    }
}

/// A lease that is held.
public struct HeldLease: Equatable, Sendable {
    /// What was asked for.
    public var request: LeaseRequest
    /// The lver on disk since this acquire; nil for a shared lease, which has none.
    public var version: UInt64?

    /// Says that it is held.
    public init(request: LeaseRequest, version: UInt64?) {
        self.request = request
        self.version = version
    }
}

/// Who holds a lease that was refused, as far as it can be told.
public struct LeaseHolder: Equatable, Sendable {
    /// Whether the holder's host still renews its claim. The words are those of the interface.
    public enum Liveness: String, Sendable {
        /// It does.
        case live
        /// It doesn't; how long the lease stays closed all the same is told by `freeWithinSeconds`.
        case dead
        /// This host has watched it too short a time to say.
        case unknown
    }

    /// What its record is worth.
    public enum Record: Sendable {
        /// It fits the lease.
        case believed
        /// There is one, and the lease contradicts it.
        case stale
        /// There never is one, of a lease that was named explicitly.
        case never
        /// There is none: the holder is no guest of Leasehold's, or one that took the lease this moment.
        case missing
    }

    /// The guest's name, from the holder's record.
    public var guest: String?
    /// Its UUID.
    public var uuid: String?
    /// Its supervisor's pid.
    public var pid: Int32?
    /// The holder's host in the lockspace.
    public var hostId: UInt64?
    /// That host's name.
    public var hostName: String?
    /// Since when, RFC 3339.
    public var since: String?
    /// Whether the host lives.
    public var liveness = Liveness.unknown
    /// Whether guest, UUID, pid and time were found out.
    public var record = Record.missing
    /// Of a dead holder: after how many seconds the lease can be had, at most.
    public var freeWithinSeconds: Double?

    /// A holder of whom nothing is known.
    public init() {}

    /// `guest db7 on host node3`, where there is little room.
    public var shortDescription: String {
        let place = hostName.map { "host \($0)" } ?? hostId.map { "host id \($0)" } ?? "a host"
        return guest.map { "guest \($0) on \(place)" } ?? "a stranger on \(place)"
    }

    /// `guest db7 on host node3 (host id 3) since …`.
    public var description: String {
        var words: [String] = []
        switch record {
        case .believed: words.append(guest.map { "guest \($0)" } ?? "a guest without a name")
        case .stale: words.append("a holder whose record is stale")
        case .never: words.append("a holder")
        case .missing:
            words.append("a holder that left no record (libvirt or another program, unless it is just starting)")
        }
        if let hostName { words.append("on host \(hostName)") }
        if let hostId { words.append(hostName == nil ? "on host id \(hostId)" : "(host id \(hostId))") }
        if let since { words.append("since \(since)") }
        return words.joined(separator: " ")
    }
}
