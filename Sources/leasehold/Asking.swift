import ControlProtocol
import Glibc
import GuestDirectory
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
        case .refused(_, .notPermitted): Problem.notPermitted
        case .silent, .unreachable, .notListening, .refused, .unreadable, .unexpected: Problem.unavailable
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
        default: throw Problem(error)
        }
    }
}

/// Asks a guest's supervisor for its status.
func status(of guest: FoundGuest, named name: String, in directory: RunDirectory) throws -> WireStatus {
    try ask(guest, named: name, in: directory, .getStatus) { reply throws(WireError) in try reply.value("status") }
}
