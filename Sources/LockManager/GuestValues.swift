import ControlProtocol
import Leases

/// All that is known of a guest that runs.
public typealias GuestStatus = WireStatus
/// A lease of a guest, and what has become of it.
public typealias GuestLease = WireLease
/// How a guest ended.
public typealias GuestExit = WireExit
/// Who has a lease that somebody else wants.
public typealias LeaseHolder = WireHolder

extension GuestLease {
    /// The lease in sanlock's spelling, with its version or `SH` at the end: `LOCKSPACE:RESOURCE:PATH:OFFSET:VERSION`.
    public var spelling: String {
        let place = LeaseResource(
            lockspace: lockspace, name: resource, path: path, offsetBytes: UInt64(clamping: offset))
        let request = LeaseRequest(disk: disk, resource: place, mode: mode == .shared ? .shared : .exclusive)
        return request.spelling + (version.map { ":\($0)" } ?? "")
    }
}

/// A guest of this host, as `guests()` finds it.
public struct ListedGuest: Sendable {
    /// Its name.
    public let name: String
    /// Its supervisor's process.
    public let supervisorPid: Int32
    /// What is known of it; nil where nothing is.
    public let status: GuestStatus?
    /// Nil: its supervisor answers. Else why it doesn't, and the status is what was written down last.
    public let silence: LockManagerError?

    /// Its name, UUID and number, for a manager to attach; nil where they aren't known, or no manager can have such a name.
    public var identity: GuestIdentity? {
        status.flatMap { try? GuestIdentity(name: $0.name, uuid: $0.uuid, id: $0.id) }
    }
}

/// What a migration's source gives its target, to be passed on by any means.
public struct MigrationTicket: Equatable, Sendable {
    /// The ticket as one line of JSON.
    public var text: String { json.description }
    /// The leases that it tells of.
    public var leases: [GuestLease] { ticket.leases }
    var json: JSON { ticket.json }
    private let ticket: WireTicket

    /// Reads a ticket.
    ///
    /// - Throws: ``LockManagerError/invalidTicket(_:)``.
    public init(text: String) throws(LockManagerError) {
        let json: JSON
        do throws(JSONError) { json = try JSON(parsing: text) } catch { throw .invalidTicket(error.description) }
        do throws(WireError) { ticket = try WireTicket(json: json) } catch { throw .invalidTicket(error.description) }
    }

    init(_ reply: ReplyMessage) throws(WireError) { ticket = try WireTicket(json: try reply.ticket()) }

    /// The ticket of a guest that nobody holds anything for.
    init(nothingHeldOf guest: GuestIdentity, uri: String) {
        ticket = WireTicket(name: guest.name, uuid: guest.uuid, uri: uri, running: true, disks: [], leases: [])
    }
}
