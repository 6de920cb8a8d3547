import ControlProtocol
import GuestDirectory
import Leases
import Logging
import Platform
import Supervision

extension GuestPlan {
    /// What another program had planned. Of what a start needs, nothing is left to do.
    package init(carrying handover: Handover) throws(Handover.Problem) {
        guard let name = GuestName(fromEmulator: handover.name) else {
            throw Handover.Problem(text: "the guest's name '\(handover.name)' is none")
        }
        let wishes = handover.wishes
        let start = GuestStart(
            executable: handover.command.first ?? "", arguments: StringVector(handover.command),
            environment: StringVector([]), caller: .none, leaseSocket: nil, guestLeaseSocket: 0, closedInGuest: nil,
            mayDaemonize: false)
        var settings = Supervision.Settings(daemonizes: false, waitSeconds: 0, attemptSeconds: wishes.attemptSeconds)
        settings.stopSeconds = wishes.stopSeconds
        settings.pauses = wishes.pauses
        settings.hasMonitor = wishes.monitorPath != nil
        self.init(
            name: name, uuid: handover.uuid, leases: handover.leases.leases.map(\.request), start: start,
            settings: settings, stopTimeoutSeconds: wishes.stopTimeoutSeconds,
            runDirectory: RunDirectory(at: wishes.runDirectory), callerDescriptors: [])
        id = handover.id
        devices = DeviceClaim(handover.devices, adopting: handover.descriptors.devices, in: runDirectory)
        monitorPath = wishes.monitorPath
        pidFile = wishes.pidFile
        supervisorPidFile = wishes.supervisorPidFile
        sparedChildren = handover.processes.spared
        driverSettings = handover.driver.settings
        // The program's name, the option and its number.
        arguments = StringVector(argumentsWithoutFirst: 3)
    }
}

// The supervisor goes on from where the program was that this process has been.
extension Supervisor {
    /// Takes over what was handed to this process. Its descriptors are the supervisor's from here.
    package convenience init(carrying handover: Handover, _ plan: GuestPlan, driver: Driver) throws(SystemError) {
        let log = handover.wishes.log
        let target = LogTarget(
            descriptor: log.descriptor, isJSON: log.isJSON, level: Logger.Level(rawValue: log.level) ?? .warning,
            guest: plan.name.text, writer: plan.logWriter)
        let claim = GuestClaim(
            plan.name, in: plan.runDirectory, adopting: Descriptor(adopting: handover.descriptors.lock))
        try self.init(
            plan, claim: claim, driver: driver, log: target, messages: handover.wishes.hasMessages ? 2 : nil,
            listener: Descriptor(adopting: handover.descriptors.listener),
            supervision: Supervision(settings: plan.settings, carrying: handover.life))
        notes = nil
        since = handover.since
        history = handover.events
        lastSequence = handover.lastSequence
        child = handover.processes.child
        takeLeases(of: handover.leases)
        monitor.wasReady = handover.monitor.wasReady
        monitor.wasRunning = handover.monitor.wasRunning
        monitor.wantsConnection = handover.monitor.wantsConnection
        monitor.writtenBytes = handover.monitor.writtenBytes
        // Nobody has handed down that it never did.
        monitor.mayHaveGoneOn = true
        let keeper = Keeper(
            pid: handover.processes.keeperPid, adopting: Descriptor(adopting: handover.descriptors.keeperReports))
        keeperIdentity = try loop.watch(keeper.reports.number, for: .readable, as: .keeper)
        self.keeper = keeper
        if let connection = handover.descriptors.leaseConnection {
            _ = try loop.watch(connection, for: [], as: .leaseConnection(connection))
            leaseConnection = connection
        }
        if let number = handover.descriptors.client {
            let client = ControlClient(Descriptor(adopting: number), isOwner: true)
            client.identity = try loop.watch(number, for: .readable, as: .client(client))
            clients[client.identity] = client
        }
    }

    private func takeLeases(of handover: Handover.Leases) {
        leases = handover.leases
        leaseState = handover.state
        areLeasesAdrift = handover.areAdrift
        isOneUnmarked = handover.isOneUnmarked
        lossDetail = handover.lossDetail
        lockspaces = handover.lockspaces
        watch.sinceSeconds = handover.sinceSeconds
        isWatchdogOn = handover.isWatchdogOn
    }

    /// Lives the rest of the guest's life, and returns how this process is to end.
    package func carryOn(from handover: Handover) -> ExitStatus {
        // Threads have the capabilities of the one that starts them.
        OwnProcess.outlastOthers()
        if !OwnProcess.stayInMemory() { note(.debug, "memory is not locked: RLIMIT_MEMLOCK forbids it") }
        dropCapabilities()
        // What others wait for comes next: the looks at the leases, and the monitor of a guest without any.
        perform(supervision.goOn(deadlines))
        openMonitor()
        if handover.leases.areAskedFor { lookForDemands(.again) }
        if standsWithoutLeases { loop.start(.evidence, seconds: 0) }
        plan.logWriter.startThread()
        note(.notice, "goes on as \(plan.program), version \(leaseholdVersion)")
        writeState()
        for client in clients.values { send(.empty, to: client) }
        return live()
    }
}
