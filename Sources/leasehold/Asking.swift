import ControlProtocol
import Glibc
import GuestDirectory
import Platform
import Supervision
import SupervisorConnection

extension Problem {
    /// A supervisor that wasn't found, or didn't do what it was asked for.
    init(_ error: ConnectionError) {
        self.init(Problem.code(of: error), error.message)
    }

    private static func code(of error: ConnectionError) -> Int32 {
        switch error {
        case .noSuchGuest, .gone: Problem.notFound
        case .unreachable(_, let error) where error.number == EACCES || error.number == EPERM: Problem.notPermitted
        case .refused(_, let refusal): code(of: refusal)
        case .silent, .unreachable, .notListening, .unreadable, .unexpected: Problem.unavailable
        }
    }

    private static func code(of refusal: ControlError) -> Int32 {
        switch refusal {
        case .busy, .wrongState: ExitStatus.Code.busy
        case .leaseLost: ExitStatus.Code.leaseLost
        case .notPermitted, .permissionDenied: Problem.notPermitted
        case .invalidResource: Problem.notFound
        case .invalidParameter: ExitStatus.Code.usage
        case .unavailable, .interfaceNotFound, .methodNotFound, .methodNotImplemented, .expectedMore, .other:
            Problem.unavailable
        }
    }
}

/// Calls a supervisor that answers at once, or is stopped or gone.
func ask<Answer>(
    _ guest: FoundGuest, named name: String, in directory: RunDirectory, _ call: Call,
    _ read: (ReplyMessage) throws(WireError) -> Answer
) throws -> Answer {
    do throws(ConnectionError) { return try guest.ask(call, timeoutSeconds: 5, read) } catch {
        switch error {
        case .silent: throw Problem(.silent(name, supervisorPid: guest.supervisorPid))
        case .gone: throw Problem(.noSuchGuest(name, directory: directory.guests))
        // Nothing is in anybody's way: what was asked for isn't there yet.
        case .refused(_, .wrongState): throw Problem(Problem.unavailable, error.message)
        default: throw Problem(error)
        }
    }
}

/// Asks a guest's supervisor for its status.
func status(of guest: FoundGuest, named name: String, in directory: RunDirectory) throws -> WireStatus {
    try ask(guest, named: name, in: directory, .getStatus) { reply throws(WireError) in try reply.value("status") }
}

/// Gives an order and waits until it is done, as long as that takes, saying so on a terminal.
///
/// - Parameter doing: what is being done, `migrating web1`.
func order(_ call: Call, _ connection: GuestConnection, doing what: String) throws(ConnectionError) -> ReplyMessage {
    try connection.send(call)
    var line = TerminalLine(on: 2)
    defer { line.clear() }
    let began = Clock.monotonicSeconds()
    var wait = pollfd(fd: connection.number, events: Int16(POLLIN), revents: 0)
    // What is done at once gets no line.
    while line.hasReader, poll(&wait, 1, 700) == 0 {
        line.show("leasehold: \(what) (\(Int(Clock.monotonicSeconds() - began)) s)")
    }
    guard let reply = try connection.next() else { throw .gone(connection.name) }
    return reply
}

/// The same on a connection of its own to a guest of this host.
func order(
    _ call: Call, _ guest: String, in directory: RunDirectory, doing what: String
) throws(ConnectionError) -> ReplyMessage {
    let found = try FoundGuest.named(guest, in: directory)
    return try found.overUpgrades { () throws(ConnectionError) in
        try order(call, try GuestConnection(found, timeoutSeconds: nil), doing: "\(what) \(guest)")
    }
}
