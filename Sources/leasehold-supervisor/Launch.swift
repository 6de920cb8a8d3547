import EmulatorCommandLine
import Glibc
import GuestDirectory
import Leases
import Platform
import SanlockLeases
import Supervision
import SupervisorRuntime

/// One start: from the caller's wish to the end of the guest's life.
struct Launch {
    let options: SupervisorOptions
    /// What the caller set, and its descriptors, as they were before anything of ours could be mistaken for them.
    let caller: Caller
    let callerDescriptors: [Int32]
    /// The way to the process in front, where this one has been detached from it.
    let behindFront: Int32?
    private let logWriter = LogWriter()

    /// What a detached process is started with, and the descriptor's number behind it.
    static let behindFrontOption = "--behind-front"

    init(options: SupervisorOptions, caller: Caller, callerDescriptors: [Int32], behindFront: Int32?) {
        self.behindFront = behindFront
        self.options = options
        self.caller = caller
        self.callerDescriptors = callerDescriptors
    }

    /// Lives the guest's life, and says how this process is to end. Up to `run` it may give up; from the moment the guest
    /// runs every failure is an event.
    func live() throws(Refusal) -> ExitStatus {
        // What is wanted.
        let preparation = try Preparation(options)
        let name = try preparation.name()
        let program: Program
        do throws(Program.Problem) {
            program = try Program(named: options.command[0], searchPath: Environment.variable("PATH"))
        } catch {
            throw Refusal(error.code, "can't start \(name.text): \(error.text)")
        }
        let sanlock = try preparation.sanlock()
        for path in [options.pidFile, options.supervisorPidFile].compactMap({ $0 }) { try checkFile(path) }
        let (leases, warnings) = try preparation.leases(driver: sanlock)
        var log = try openLog(name)

        // The caller's way, or one of our own.
        let daemonizes = preparation.emulator.lifetime == .daemonizes
        var messages: Int32 = 2
        var front: GuestPlan.Front?
        if options.detaches || daemonizes {
            guard let behindFront else { try detach() }
            front = GuestPlan.Front(descriptor: behindFront, printsLine: options.detaches)
            if !daemonizes {
                // The guest's streams lead nowhere; ours does until it runs.
                messages = InheritedDescriptors.copyAside(2) ?? 2
                InheritedDescriptors.silenceStandardStreams(includingError: messages != 2)
                if options.logFile == nil { log = makeLog(name, descriptor: messages) }
            }
        }

        let command = StringVector(lastArguments: options.command.count)
        var plan = GuestPlan(
            name: name, uuid: preparation.uuid(), leases: leases,
            start: GuestStart(
                executable: program.path, arguments: preparation.lacksStop ? command.appending("-S") : command,
                environment: StringVector(environmentWithout: "NOTIFY_SOCKET"), caller: caller, leaseSocket: nil,
                guestLeaseSocket: (callerDescriptors.last ?? 2) + 1, closedInGuest: options.readyDescriptor,
                mayDaemonize: preparation.emulator.lifetime != .staysInForeground),
            settings: Supervision.Settings(
                daemonizes: daemonizes,
                waitSeconds: options.waitSeconds ?? preparation.host.settings.waitSeconds,
                attemptSeconds: attemptSeconds(sanlock)),
            stopTimeoutSeconds: options.stopTimeoutSeconds ?? preparation.host.settings.stopTimeoutSeconds,
            runDirectory: RunDirectory(configured: preparation.host.settings.runDirectory),
            callerDescriptors: callerDescriptors)
        plan.devices = DeviceClaim(try preparation.devices(), in: plan.runDirectory)
        plan.settings.stopSeconds = plan.stopTimeoutSeconds
        plan.settings.pauses = preparation.pauses
        plan.settings.isLeased = !leases.isEmpty
        plan.settings.hasMonitor = options.monitorPath != nil
        plan.settings.isIncoming = preparation.isIncoming
        if options.driver == .sanlock { plan.settings.firstDeadlines = sanlock.firstDeadlines }
        plan.monitorPath = options.monitorPath
        plan.id = options.id
        plan.pidFile = options.pidFile
        plan.supervisorPidFile = options.supervisorPidFile
        plan.readyDescriptor = options.readyDescriptor
        plan.front = front
        if behindFront != nil { plan.arguments = StringVector(argumentsWithoutFirst: 3) }
        plan.logWriter = logWriter
        plan.notifySocket = Environment.variable("NOTIFY_SOCKET")
        plan.warnings = warnings
        plan.sparedChildren = OwnProcess.children()
        plan.driverSettings = options.driver == .sanlock ? sanlock.json : .null
        if front != nil, options.logFile == nil { plan.logOnceDetached = makeLog(name, descriptor: nil) }

        // The name, then the life.
        let claim = try claimName(name, plan.runDirectory)
        do throws(SystemError) {
            switch options.driver {
            case .sanlock:
                return try Supervisor(
                    plan, claim: claim, driver: SanlockDriver(settings: sanlock, notice: NoticeCommand.ofThisProcess),
                    log: log, messages: messages
                ).run()
            case .nop:
                return try Supervisor(plan, claim: claim, driver: NopDriver(), log: log, messages: messages).run()
            }
        } catch {
            GuestClaim.discard(name, in: plan.runDirectory)
            throw Refusal(ExitStatus.Code.failure, "can't start \(name.text): \(error.message)")
        }
    }

    // Somebody waits for such a file: that it can't be had is said before anything is started.
    private func checkFile(_ path: String) throws(Refusal) {
        let folder = path.utf8.lastIndex(of: UInt8(ascii: "/")).map {
            String(decoding: path.utf8[..<$0], as: UTF8.self)
        }
        let directory = folder.map { $0.isEmpty ? "/" : $0 } ?? "."
        guard Files.isWritableDirectory(directory) else {
            throw Refusal(
                ExitStatus.Code.cantCreate,
                "pid file \(path): \(SystemError.text(of: errno)); see to the folder's existence and rights")
        }
        if let kind = try? Files.kind(of: path), kind.isDirectory {
            throw Refusal(ExitStatus.Code.cantCreate, "pid file \(path): is a directory; name a file")
        }
    }

    /// A join of a lockspace whose slot this host held before it crashed takes as long as sanlock takes to be sure.
    private func attemptSeconds(_ sanlock: SanlockSettings) -> Double {
        let ioTimeoutSeconds = sanlock.ioTimeoutSeconds == 0 ? 10 : Double(sanlock.ioTimeoutSeconds)
        return 16 * ioTimeoutSeconds + 90
    }

    private func claimName(_ name: GuestName, _ directory: RunDirectory) throws(Refusal) -> GuestClaim {
        do throws(GuestClaim.Failure) {
            return try GuestClaim(name, in: directory)
        } catch {
            switch error {
            case .inUse(let pid):
                throw Refusal(
                    ExitStatus.Code.busy,
                    "can't start \(name.text): a guest of that name runs already (supervisor pid \(pid)); stop it, or give "
                        + "another --name")
            case .unusable(let error):
                let code =
                    error.number == EACCES || error.number == EPERM
                    ? ExitStatus.Code.notPermitted : ExitStatus.Code.cantCreate
                throw Refusal(code, "run directory \(error.message); set LEASEHOLD_RUN_DIR, or run_dir")
            case .pathTooLong(let path):
                throw Refusal(
                    ExitStatus.Code.configuration,
                    "control socket \(path) is longer than \(UnixSocket.longestPath) bytes; set a shorter LEASEHOLD_RUN_DIR"
                )
            }
        }
    }

    private func detach() throws(Refusal) -> Never {
        do throws(SystemError) { try OwnProcess.detach(from: caller, option: Launch.behindFrontOption) } catch {
            throw Refusal(ExitStatus.Code.failure, "can't detach: \(error.message)")
        }
    }

    private func openLog(_ name: GuestName) throws(Refusal) -> LogTarget {
        guard let path = options.logFile else { return makeLog(name, descriptor: 2) }
        do throws(SystemError) {
            let file = try Files.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK, mode: 0o640)
            return makeLog(name, descriptor: file.release())
        } catch {
            throw Refusal(ExitStatus.Code.cantCreate, "log file \(error.message)")
        }
    }

    private func makeLog(_ name: GuestName, descriptor: Int32?) -> LogTarget {
        LogTarget(
            descriptor: descriptor, isJSON: options.logsJSON, level: options.logLevel, guest: name.text,
            writer: logWriter)
    }
}
