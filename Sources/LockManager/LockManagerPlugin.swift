import ControlProtocol
import GuestDirectory
import HostConfiguration
import Platform
import SanlockLeases
import SupervisorConnection
import Synchronization

/// A way of locking, by name. One process may load as many as it likes, and several processes may drive the same guests.
///
/// With `sanlock` a supervisor in front of each guest holds its leases, and this library finds and asks it. With `nop` there is
/// no supervisor: nothing is locked, every guest starts, and what only a supervisor knows is
/// ``LockManagerError/unsupported(_:)``.
public final class LockManagerPlugin: Sendable {
    /// `sanlock` or `nop`.
    public let name: String
    private let sanlock: Sanlock?
    private let isLoaded = Mutex(true)

    /// What the `sanlock` plugin goes by.
    struct Sanlock: Sendable {
        let supervisor: String
        let configurationFile: String?
        let directory: RunDirectory
        let leases: SanlockSettings
        let hasAutomaticLeases: Bool
    }

    private init(_ name: String, _ sanlock: Sanlock?) {
        self.name = name
        self.sanlock = sanlock
    }

    /// Loads a plugin; the README's `PluginLoad`. Reads this host's configuration, once.
    ///
    /// - Parameters:
    ///   - name: `sanlock` or `nop`.
    ///   - configuration: the configuration file; nil: `LEASEHOLD_CONFIG`'s, else `/etc/leasehold/leasehold.conf`. It is
    ///     given to supervisors too. Which daemon is spoken to is `SANLOCK_RUN_DIR`'s to say, for the whole process.
    ///   - supervisor: the path of `leasehold-supervisor`; nil: beside this program, else in `PATH`.
    /// - Throws: ``LockManagerError/noSuchPlugin(_:)``, ``LockManagerError/configuration(_:)``.
    public static func load(
        _ name: String, configuration: String? = nil, supervisor: String? = nil
    ) throws(LockManagerError) -> LockManagerPlugin {
        switch name {
        case "nop": return LockManagerPlugin(name, nil)
        case "sanlock": break
        default: throw .noSuchPlugin(name)
        }
        guard let supervisor = supervisor ?? SupervisorProgram.path() else {
            throw .configuration(
                "leasehold-supervisor is neither beside this program nor in PATH; install it, or name it")
        }
        guard Files.isExecutable(supervisor) else {
            throw .configuration("\(supervisor) is no program that can be started; name leasehold-supervisor")
        }
        do throws(HostConfiguration.Problem) {
            let host = try HostConfiguration(named: configuration)
            return LockManagerPlugin(
                name,
                Sanlock(
                    supervisor: supervisor, configurationFile: configuration,
                    directory: RunDirectory(configured: host.settings.runDirectory),
                    leases: SanlockSettings(host.settings, fileUser: try host.user(), fileGroup: try host.group()),
                    hasAutomaticLeases: host.settings.autoDiskLeases))
        } catch {
            throw .configuration(error.text)
        }
    }

    /// Lets go of the plugin; the README's `PluginUnload`. Guests run on, managers of it can do nothing more. Again: nothing.
    public func unload() {
        isLoaded.withLock { $0 = false }
    }

    /// Nil with `nop`.
    func loaded() throws(LockManagerError) -> Sanlock? {
        guard isLoaded.withLock({ $0 }) else { throw .unloaded }
        return sanlock
    }

    /// The same for what only supervisors know.
    func supervising(_ what: String) throws(LockManagerError) -> Sanlock {
        guard let sanlock = try loaded() else { throw .unsupported(what) }
        return sanlock
    }

    /// All guests of this host that have a supervisor, whoever started them: what a management program that has just started
    /// has to know. Also ends what supervisors left behind that were killed, as `leasehold list` does.
    ///
    /// Blocks until all have answered, five seconds at most.
    public func guests() throws(LockManagerError) -> [ListedGuest] {
        let directory = try supervising("listing guests").directory
        _ = Leftover.endAll(in: directory)
        return GuestSight.all(in: directory, within: 5).map { sight in
            ListedGuest(
                name: sight.status?.name ?? sight.found.paths.fileName, supervisorPid: sight.found.supervisorPid,
                status: sight.status, silence: sight.source == .supervisor ? nil : LockManagerError(sight.problem))
        }
    }

    /// How the last guest of a name or UUID ended; nil where none has. Blocks for no more than a look at a file.
    public func exit(of guest: String) throws(LockManagerError) -> GuestExit? {
        EndedGuest.record(named: guest, in: try supervising("looking up how a guest ended").directory)
    }
}
