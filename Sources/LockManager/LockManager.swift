import ControlProtocol
import Glibc
import Leases
import Platform
import SupervisorConnection
import Synchronization

/// The README's lock manager of one guest. Every call may be made from any thread; each says how long it may block. It keeps no
/// connection: what is true of the guest is asked of its supervisor each time, so any number of managers, in any number of
/// programs, may be about one guest.
public final class LockManager: Sendable {
    /// How the manager comes to its guest.
    public enum Beginning: Sendable {
        /// The guest is to be started.
        case new
        /// The guest runs already; the README's `NEW_ATTACH`.
        case attach
        /// The guest is to be started for a migration that comes in; the README's `NEW_MIGRATE`.
        case incoming
    }

    /// The guest.
    public let guest: GuestIdentity
    /// How the manager came to it.
    public let beginning: Beginning
    let plugin: LockManagerPlugin
    private let options: [String]
    private let state = Mutex(State())

    private struct State {
        var resources: [Resource] = []
        var isFreed = false
    }

    /// The README's `New` and `SetParameter`. With `.attach` it finds the guest's supervisor, and blocks for five seconds at
    /// most; else for nothing.
    ///
    /// - Parameter options: further options of the supervisor, such as `--detach`, `--qmp PATH`, `--log-file PATH`.
    /// - Throws: ``LockManagerError/notRunning(_:)`` with `.attach`.
    public init(
        _ plugin: LockManagerPlugin, for guest: GuestIdentity, _ beginning: Beginning = .new, options: [String] = []
    ) throws(LockManagerError) {
        self.plugin = plugin
        self.guest = guest
        self.beginning = beginning
        self.options = options
        if options.contains("--") { throw .invalidGuest("the supervisor's options have a -- in them") }
        if beginning == .attach, let sanlock = try plugin.loaded() { _ = try find(sanlock) }
    }

    /// Lets go of the manager; the README's `Free`. The guest is left as it is. Again: nothing.
    public func free() {
        state.withLock { $0.isFreed = true }
    }

    /// Whether the guest has a supervisor: not with `nop`.
    public var isSupervised: Bool { plugin.name != "nop" }

    func sanlock() throws(LockManagerError) -> LockManagerPlugin.Sanlock? {
        if state.withLock({ $0.isFreed }) { throw .unloaded }
        return try plugin.loaded()
    }

    func supervised(_ what: String) throws(LockManagerError) -> LockManagerPlugin.Sanlock {
        guard let sanlock = try sanlock() else { throw .unsupported(what) }
        return sanlock
    }

    // MARK: - Before the guest runs

    /// Tells of a disk or lease that the guest is started with; the README's `RegisterResource`. Doesn't block, looks at nothing.
    ///
    /// - Throws: ``LockManagerError/invalidResource(_:why:)``, also for one that was registered before.
    public func registerResource(_ resource: Resource) throws(LockManagerError) {
        guard beginning != .attach else { throw .wrongState("running") }
        _ = try sanlock()
        let checked = try resource.checked()
        let isNew = state.withLock { state in
            if state.resources.contains(where: { $0.names(checked) }) { return false }
            state.resources.append(checked)
            return true
        }
        if !isNew {
            switch checked {
            case .disk(let path, _): throw .invalidResource(path, why: "it is registered already")
            case .lease(let spelling): throw .invalidResource(spelling, why: "it is registered already")
            }
        }
    }

    /// The README's `AcquireObject`. Takes no lease and joins nothing: the supervisor does, when it is started. This looks whether
    /// it could, makes lease files that are missing, and says who has what. That may have changed when the supervisor comes.
    ///
    /// - Parameters:
    ///   - waitSeconds: how long to wait for what is busy.
    ///   - timeoutSeconds: how long to wait for a daemon or storage that doesn't answer.
    /// - Throws: ``LockManagerError/busy(_:holder:)``, also where a guest of this name runs;
    ///   ``LockManagerError/configuration(_:)``, ``LockManagerError/invalidResource(_:why:)``,
    ///   ``LockManagerError/notPermitted(_:)``, ``LockManagerError/unavailable(_:)``.
    public func acquireObject(waitSeconds: Double = 0, timeoutSeconds: Double = 60) throws(LockManagerError) {
        guard beginning != .attach else { throw .wrongState("running") }
        guard let sanlock = try sanlock() else { return }
        let resources = state.withLock { $0.resources }
        // What is given back this moment is free in the next.
        let deadline = Clock.monotonicSeconds() + max(waitSeconds, 0.3)
        while true {
            do throws(LockManagerError) {
                try checkName(sanlock)
                return try sanlock.prepare(
                    resources, isIncoming: beginning == .incoming, timeoutSeconds: timeoutSeconds)
            } catch {
                guard case .busy = error, Clock.monotonicSeconds() < deadline else { throw error }
                usleep(50_000)
            }
        }
    }

    private func checkName(_ sanlock: LockManagerPlugin.Sanlock) throws(LockManagerError) {
        let paths = sanlock.directory.guest(guest.guestName)
        guard let found = FoundGuest(paths) else { return }
        let status = paths.readState()?.status
        throw .busy(
            "the name \(guest.name)",
            holder: LeaseHolder(guest: status?.name, uuid: status?.uuid, pid: found.supervisorPid, liveness: .live))
    }

    /// The program to put in front of the guest's command line; nil: none. The README's `GetSupervisorPath`.
    public var supervisorPath: String? {
        get throws(LockManagerError) { try sanlock()?.supervisor }
    }

    /// What stands between that program and the guest's command line; the README's `GetSupervisorArgs`.
    public var supervisorArguments: [String] {
        get throws(LockManagerError) {
            guard let sanlock = try sanlock() else { return [] }
            var arguments = ["--name", guest.name, "--uuid", guest.uuid]
            if let id = guest.id { arguments += ["--id", "\(id)"] }
            if let file = sanlock.configurationFile { arguments += ["--config", file] }
            if beginning == .incoming { arguments.append("--incoming") }
            arguments += state.withLock { $0.resources }.flatMap(\.option)
            return arguments + options + ["--"]
        }
    }

    /// The guest's process, once it runs, or waits for its migration; the README's `GetChild`. Blocks until then.
    ///
    /// - Parameters:
    ///   - supervisorPid: the process that was started as the supervisor: where it ends without a guest, nothing is waited for
    ///     any longer.
    ///   - timeoutSeconds: how long to wait at most.
    /// - Throws: ``LockManagerError/notStarted(_:)``; with `nop` ``LockManagerError/unsupported(_:)``, as nobody knows.
    public func child(supervisorPid: Int32? = nil, timeoutSeconds: Double = 30) throws(LockManagerError) -> Int32 {
        let sanlock = try supervised("telling a guest's process")
        let supervisor = supervisorPid.flatMap(ProcessIdentity.init(runningAs:))
        let deadline = Clock.monotonicSeconds() + timeoutSeconds
        while true {
            let isStarting = supervisorPid == nil || supervisor?.isAlive == true
            do throws(LockManagerError) {
                let status = try status(of: try find(sanlock))
                // One that waits for a migration has a process before it can be sent anything.
                if let pid = status.childPid, status.state != .starting { return pid }
                guard status.state == .acquiring || status.state == .starting else {
                    throw .wrongState(status.state.rawValue)
                }
            } catch {
                switch error {
                case .notRunning:
                    // One that goes into the background ends as soon as the guest runs.
                    guard isStarting, beginning != .attach else {
                        throw .notStarted("the supervisor of \(guest.name) has ended; see what it wrote")
                    }
                case .unavailable where Clock.monotonicSeconds() < deadline: break
                default: throw error
                }
            }
            guard Clock.monotonicSeconds() < deadline else {
                throw .notStarted("\(guest.name) did not start within \(timeoutSeconds) s")
            }
            usleep(5000)
        }
    }

    // MARK: - Asking its supervisor

    /// Its supervisor; of another guest that has the name by now, nothing is wanted.
    func find(_ sanlock: LockManagerPlugin.Sanlock) throws(LockManagerError) -> FoundGuest {
        guard let found = FoundGuest(sanlock.directory.guest(guest.guestName)) else { throw .notRunning(guest.name) }
        let uuid: String
        if let state = found.paths.readState() {
            uuid = state.status.uuid
        } else {
            uuid = try status(of: found).uuid
        }
        guard uuid.lowercased() == guest.uuid else { throw .notRunning(guest.name) }
        return found
    }

    func status(of found: FoundGuest) throws(LockManagerError) -> GuestStatus {
        try ask(.getStatus, of: found, timeoutSeconds: 5) { reply throws(WireError) in try reply.value("status") }
    }

    func ask<Answer>(
        _ call: Call, of found: FoundGuest, timeoutSeconds: Double?,
        _ read: (ReplyMessage) throws(WireError) -> Answer
    ) throws(LockManagerError) -> Answer {
        do throws(ConnectionError) { return try found.ask(call, timeoutSeconds: timeoutSeconds, read) } catch {
            throw LockManagerError(error)
        }
    }
}
