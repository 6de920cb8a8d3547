import ControlProtocol
import Glibc
import Leases
import SupervisorConnection

/// Why a call of the lock manager did nothing.
public enum LockManagerError: Error, Equatable, Sendable {
    /// There is no lock manager of this name; the names are `sanlock` and `nop`.
    case noSuchPlugin(String)
    /// The plugin was unloaded, or the manager freed.
    case unloaded
    /// The plugin has no way to do this, or the guest's supervisor is older than this library.
    case unsupported(String)
    /// A name, UUID or number that no guest can have.
    case invalidGuest(String)
    /// A disk or lease that can't be used, and why.
    case invalidResource(String, why: String)
    /// A ticket that is none, or of another guest.
    case invalidTicket(String)
    /// The settings of this host don't allow it.
    case configuration(String)
    /// Somebody else has it: the disk, lease or name, and who, as far as it is known.
    case busy(String, holder: LeaseHolder?)
    /// The guest's leases were lost meanwhile.
    case leaseLost
    /// The guest is in a state in which this can't be done.
    case wrongState(String)
    /// No supervisor of this guest runs on this host.
    case notRunning(String)
    /// The guest did not start, or not in time.
    case notStarted(String)
    /// The caller may not do this.
    case notPermitted(String)
    /// Something that is needed is not there, or doesn't answer. After a call that was under way it is not known whether it was done.
    case unavailable(String)

    /// One line for people: what is wrong, and what to do where that can be told.
    public var message: String {
        switch self {
        case .noSuchPlugin(let name): "there is no lock manager '\(name)'; write sanlock or nop"
        case .unloaded: "the lock manager was unloaded"
        case .unsupported(let what): "\(what) can't be done by this lock manager"
        case .invalidResource(let resource, let why):
            ControlError.invalidResource(resource: resource, why: why).message
        case .invalidTicket(let why): "the migration's ticket can't be used: \(why)"
        case .busy(let resource, let holder):
            ControlError.busy(disk: resource, lease: resource, holder: holder).message
        case .leaseLost: ControlError.leaseLost.message
        case .wrongState(let state): ControlError.wrongState(state: state).message
        case .notRunning(let name): "no guest \(name) of that UUID runs here"
        case .invalidGuest(let text), .configuration(let text), .notStarted(let text), .notPermitted(let text),
            .unavailable(let text):
            text
        }
    }
}

extension LockManagerError {
    /// What a supervisor, or its absence, means to the caller.
    init(_ error: ConnectionError) {
        switch error {
        case .noSuchGuest(let name, _), .gone(let name): self = .notRunning(name)
        case .refused(_, let refusal): self.init(refusal)
        case .unreachable(_, let cause) where cause.number == EACCES || cause.number == EPERM:
            self = .notPermitted(error.message)
        case .silent, .unreachable, .notListening, .unreadable, .unexpected: self = .unavailable(error.message)
        }
    }

    private init(_ refusal: ControlError) {
        switch refusal {
        case .busy(let disk, let lease, let holder): self = .busy(disk ?? lease, holder: holder)
        case .leaseLost: self = .leaseLost
        case .wrongState(let state): self = .wrongState(state)
        case .notPermitted, .permissionDenied: self = .notPermitted(refusal.message)
        case .invalidResource(let resource, let why): self = .invalidResource(resource, why: why)
        case .unavailable(let why): self = .unavailable(why)
        case .invalidParameter(let parameter) where parameter.hasPrefix("ticket"):
            self = .invalidTicket("it is none, by its \(parameter)")
        case .interfaceNotFound, .methodNotFound, .methodNotImplemented: self = .unsupported(refusal.message)
        case .invalidParameter, .expectedMore, .other: self = .unavailable(refusal.message)
        }
    }

    /// What a look at the leases found.
    init(_ failure: LeaseFailure) {
        let subject = failure.request?.subject ?? "leases"
        switch failure.outcome {
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased, .orphaned, .sameDevice, .wrongVersion:
            self = .busy(subject, holder: failure.holder.map(LeaseHolder.init))
        case .leaseFileMissing, .leaseFileUnusable: self = .invalidResource(subject, why: failure.detail)
        case .notPermitted: self = .notPermitted(failure.detail)
        case .hostIdTooLarge, .configurationWrong: self = .configuration(failure.detail)
        case .lockspaceGone, .hostIdInUse, .leaseFileNotMade, .daemonUnreachable, .storageFailed, .other:
            self = .unavailable(failure.detail)
        }
    }
}

extension LeaseHolder {
    fileprivate init(_ holder: Leases.LeaseHolder) {
        self.init(
            guest: holder.guest, uuid: holder.uuid, pid: holder.pid, hostId: holder.hostId.map { Int(clamping: $0) },
            hostName: holder.hostName, since: holder.since,
            liveness: Liveness(rawValue: holder.liveness.rawValue) ?? .unknown)
    }
}
