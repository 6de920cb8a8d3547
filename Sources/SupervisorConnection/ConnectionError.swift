import ControlProtocol
import Platform

/// Why a supervisor could not be found, or did not do what it was asked for.
public enum ConnectionError: Error, Equatable, Sendable {
    /// No guest of that name or UUID runs here.
    case noSuchGuest(String, directory: String)
    /// The supervisor has ended, before the call or during it.
    case gone(String)
    /// No answer came in time.
    case silent(String, supervisorPid: Int32)
    /// The supervisor lives, and its control socket doesn't let us in or broke.
    case unreachable(String, SystemError)
    /// The supervisor lives, and has had no control socket for a second.
    case notListening(String)
    /// The supervisor answered with an error.
    case refused(String, ControlError)
    /// The answer is none.
    case unreadable(String, why: String)
    /// The answer is to something else.
    case unexpected(String, WireError)

    /// Whether the supervisor has ended.
    public var isGone: Bool { if case .gone = self { true } else { false } }

    /// One line: what is wrong, and what to do about it where that can be told.
    public var message: String {
        switch self {
        case .noSuchGuest(let name, let directory):
            "no guest '\(name)' runs here (in \(directory)); see leasehold list"
        case .gone(let name): "\(name) has ended; see leasehold wait"
        case .silent(let name, let pid):
            "the supervisor of \(name) (pid \(pid)) does not answer; is it stopped? leasehold kill ends it"
        case .unreachable(let name, let error): "the supervisor of \(name) can't be reached: \(error.message)"
        case .notListening(let name): "the supervisor of \(name) does not open its control socket"
        case .refused(let name, let error): "\(name): \(error.message)"
        case .unreadable(let name, let why): "\(name): \(why)"
        case .unexpected(let name, let error): "the supervisor of \(name) answers something else: \(error)"
        }
    }
}
