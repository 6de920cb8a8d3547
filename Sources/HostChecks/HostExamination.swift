import ControlProtocol
import Glibc
import GuestDirectory
import Platform
import SanlockLeases

/// A look at whether this host is set up right. Changes nothing, and takes some seconds at most, whatever hangs.
public struct HostExamination {
    private let settings: SanlockSettings
    private let isAutomatic: Bool
    private let runDirectory: RunDirectory
    private let supervisor: Supervisor

    /// Where the other program was found.
    public enum Supervisor: Sendable {
        /// There, and it can be executed.
        case found(String)
        /// It can't be; one line.
        case missing(String)
    }

    /// How long each thing may take, in seconds.
    public static let patienceSeconds = 5.0

    /// States what to go by.
    ///
    /// - Parameter isAutomatic: whether the configuration has leases taken for disks.
    public init(
        settings: SanlockSettings, isAutomatic: Bool, runDirectory: RunDirectory, supervisor: Supervisor
    ) {
        self.settings = settings
        self.isAutomatic = isAutomatic
        self.runDirectory = runDirectory
        self.supervisor = supervisor
    }

    /// Looks, at everything at once. In a process of one thread.
    ///
    /// - Parameter waiting: called now and then, with what is waited for and for how many seconds at most.
    public func report(waiting: (String, Double) -> Void) -> HostReport {
        let sight = LeaseDirectorySight(settings: settings)
        let hostId = settings.hostId
        var jobs: [ExaminationJob] = []
        func start(_ name: String, _ body: @escaping (Teller) -> Void) -> Int {
            jobs.append(ExaminationJob(name, body))
            return jobs.count - 1
        }
        let daemonJob = start("the sanlock daemon", DaemonFacts.collect)
        let daemonSeconds = Clock.monotonicSeconds()
        let storageJob = start("the lease storage") { StorageFacts.collect(settings.leaseDirectory, sight, $0) }
        let lockspaceJob = start("the lease files") { LockspaceFacts.collect(sight, hostId: hostId, $0) }
        let hostIdJob = start("seeing whether another host uses this host's id") {
            HostIdFacts.collect(sight, hostId: hostId, $0)
        }
        let rightsJob = start("the lease directory's rights") {
            RightsFacts.collect(sight, configured: configuredUser, $0)
        }
        let diskJob = start("the disks") { DiskPathFacts.collect(runDirectory, sight, $0) }
        let memoryJob = start("the memory lock", MemoryLockFacts.collect)
        ExaminationJob.wait(for: jobs, patienceSeconds: HostExamination.patienceSeconds, waiting: waiting)

        let daemon = DaemonFacts(jobs[daemonJob].facts)
        let storage = StorageFacts(jobs[storageJob].facts)
        let lockspace = LockspaceFacts(jobs[lockspaceJob].facts)
        let run = RunDirectoryFacts.collect(runDirectory)
        let isJoined: Bool? = daemon.hasToldMembership ? daemon.membership != nil : nil
        let path = sight.lockspacePath
        return HostReport(
            checks: Check.Name.allCases.map { name in
                switch name {
                case .supervisorProgram: supervisorCheck
                case .runDirectory: run.check
                case .leftovers: run.leftoversCheck
                case .guestUsers: GuestUserFacts.collect(runDirectory).check
                case .diskPaths: DiskPathFacts(jobs[diskJob].facts).check
                case .memoryLock: MemoryLockFacts(jobs[memoryJob].facts).check
                case .clock: ClockFacts.collect().check
                case .daemon: daemon.daemonCheck
                case .daemonLimits: daemon.limitsCheck
                case .watchdog: daemon.watchdogCheck
                case .leaseDirectory: storage.directoryCheck(settings.leaseDirectory)
                case .leaseRights: RightsFacts(jobs[rightsJob].facts).check(storage)
                case .leaseStorage: storage.storageCheck
                case .leaseLocks: storage.locksCheck
                case .leaseSpace: storage.spaceCheck
                case .fileSystem: storage.fileSystemCheck
                case .lockspaceFile: lockspace.fileCheck(path, isJoined: isJoined)
                case .leaseFiles: lockspace.leaseFilesCheck
                case .hostId:
                    HostIdFacts(jobs[hostIdJob].facts).check(hostId: hostId, isNeeded: isAutomatic, lockspace)
                case .lockspace:
                    lockspace.membershipCheck(daemon, hostId: hostId, path: path, now: daemonSeconds)
                }
            })
    }

    private var configuredUser: ProcessUser? {
        guard let user = settings.fileUser else { return nil }
        return ProcessUser(user: user, group: settings.fileGroup ?? user, groups: [])
    }

    private var supervisorCheck: Check {
        switch supervisor {
        case .found(let path): .ok(.supervisorProgram, path)
        case .missing(let words): .failed(.supervisorProgram, words, advice: "install Leasehold whole")
        }
    }
}

/// One of the looks that are taken at once.
final class ExaminationJob {
    /// What it has found out so far.
    private(set) var facts = Facts()
    private let name: String
    private let job: BoundedJob?
    private let startedSeconds = Clock.monotonicSeconds()

    init(_ name: String, _ body: @escaping (Teller) -> Void) {
        self.name = name
        job = try? BoundedJob { body(Teller(say: $0)) }
        facts.end = job == nil ? .died : .silent
    }

    private func look() {
        for line in job?.takeLines() ?? [] { facts.add(line) }
        switch job?.state {
        case .finished?: facts.end = .complete
        case .died?, nil: facts.end = .died
        case .running?: facts.end = .silent
        }
    }

    // A watch says itself how long it takes.
    private func deadlineSeconds(_ patienceSeconds: Double) -> Double {
        startedSeconds + patienceSeconds + (facts.number("watchSeconds") ?? 0)
    }

    /// Waits until each has said all, or is given up.
    static func wait(for jobs: [ExaminationJob], patienceSeconds: Double, waiting: (String, Double) -> Void) {
        while true {
            for job in jobs where job.facts.end == .silent { job.look() }
            let now = Clock.monotonicSeconds()
            let open = jobs.filter { $0.facts.end == .silent && $0.deadlineSeconds(patienceSeconds) > now }
            guard let last = open.max(by: { $0.deadlineSeconds(patienceSeconds) < $1.deadlineSeconds(patienceSeconds) })
            else { break }
            if now - last.startedSeconds > 0.7 {
                waiting(last.name, last.deadlineSeconds(patienceSeconds) - now)
            }
            var polls = open.compactMap { job in
                job.job.map { pollfd(fd: $0.number, events: Int16(POLLIN), revents: 0) }
            }
            poll(&polls, nfds_t(polls.count), 250)
        }
        for job in jobs { job.job?.giveUp() }
    }
}
