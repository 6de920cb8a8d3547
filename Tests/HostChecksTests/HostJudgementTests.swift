import ControlProtocol
import Testing

@testable import HostChecks

/// What is judged of a host's processes, clock, daemon and storage, from facts alone.
@Suite struct HostJudgementTests {
    // MARK: The daemon

    @Test func aDaemonThatDoesNotAnswerHasFailedInEveryWayThereIs() {
        var facts = DaemonFacts()
        facts.end = .silent
        #expect(facts.daemonCheck.state == .failed && facts.daemonCheck.found.contains("hangs"))
        facts.unreachable = "no such file"
        #expect(facts.daemonCheck.found.contains("no such file"))
        facts.unreachable = nil
        facts.pid = 7
        #expect(facts.daemonCheck.found.contains("does not answer"))
        // It answered the one question and not the other.
        facts.version = "3.8.5"
        #expect(facts.daemonCheck.state == .failed)
        facts.hasToldMembership = true
        #expect(facts.daemonCheck.state == .ok)
        facts.refusal = "EACCES -13"
        #expect(facts.daemonCheck.state == .failed && !facts.answers)
    }

    @Test(
        arguments: [
            (nil, nil, Check.State.notChecked), (true, true, .ok), (true, false, .warning), (false, true, .warning),
            (false, false, .warning),
        ] as [(Bool?, Bool?, Check.State)])
    func theWatchdogIsOnOnlyWhereItRunsAndIsUsed(isSet: Bool?, isThere: Bool?, expected: Check.State) {
        var facts = DaemonFacts()
        facts.isToUseWatchdog = isSet
        facts.isWatchdogThere = isThere
        #expect(facts.watchdogCheck.state == expected)
        if expected == .warning { #expect(facts.watchdogCheck.found.contains("a host that hangs is not reset")) }
    }

    // MARK: Processes

    @Test func theClockIsJudged() {
        let now: Int64 = 1_800_000_000
        #expect(ClockFacts(seconds: now, isKept: true).check.state == .ok)
        #expect(ClockFacts(seconds: now, isKept: nil).check.state == .ok)
        #expect(ClockFacts(seconds: now, isKept: false).check.state == .warning)
        #expect(ClockFacts(seconds: 1_767_225_599, isKept: true).check.state == .warning)
        #expect(ClockFacts(seconds: 1_767_225_600, isKept: true).check.state == .ok)
        #expect(ClockFacts(seconds: -1, isKept: true).check.found.contains("1969"))
    }

    @Test func theMemoryLockIsJudgedByTryingIt() {
        var facts = MemoryLockFacts()
        #expect(facts.check.state == .notChecked)
        facts.limitBytes = 8 << 20
        facts.canLock = true
        #expect(facts.check.state == .ok)
        facts.canLock = false
        #expect(facts.check.state == .warning && facts.check.found.contains("8192 KiB"))
    }

    @Test(arguments: [(27, Check.State.ok), (28, .warning), (90, .warning), (91, .failed), (200, .failed)])
    func aSocketsPathHasRoomForTheLongestName(length: Int, expected: Check.State) {
        let facts = RunDirectoryFacts(path: "/" + String(repeating: "r", count: length - 1))
        #expect(facts.check.state == expected)
    }

    // MARK: The storage

    private func storage(_ change: (inout StorageFacts) -> Void) -> StorageFacts {
        var facts = StorageFacts()
        facts.isDirectory = true
        facts.magic = 0x6969
        facts.freeBytes = 1 << 30
        facts.directSeconds = 0.002
        facts.hasLocks = true
        change(&facts)
        return facts
    }

    @Test func eachFaultOfTheStorageIsToldOnceAndWhatFollowsIsNotChecked() {
        let good = storage { _ in }
        #expect(good.directoryCheck("/l").state == .ok && good.storageCheck.state == .ok)
        #expect(good.locksCheck.state == .ok && good.spaceCheck.state == .ok && good.fileSystemCheck.state == .ok)
        let missing = storage {
            $0 = StorageFacts(Facts()); $0.missing = "is missing"
        }
        #expect(missing.directoryCheck("/l").state == .failed && missing.storageCheck.state == .notChecked)
        #expect(missing.spaceCheck.state == .notChecked && missing.fileSystemCheck.state == .notChecked)
        let readOnly = storage { $0.isReadOnly = true }
        #expect(readOnly.directoryCheck("/l").found == "/l is mounted read-only")
        let hung = storage {
            $0.directSeconds = nil; $0.hasLocks = nil; $0.step = "making a file"; $0.end = .silent
        }
        #expect(hung.directoryCheck("/l").state == .ok && hung.storageCheck.found == "does not answer (making a file)")
        #expect(hung.locksCheck.state == .notChecked)
        #expect(storage { $0.directSeconds = 1.5 }.storageCheck.state == .warning)
        #expect(storage { $0.directFailure = "Invalid argument" }.storageCheck.state == .failed)
        #expect(storage { $0.hasLocks = false }.locksCheck.state == .failed)
        let silent = storage {
            $0 = StorageFacts(); $0.end = .silent
        }
        #expect(silent.directoryCheck("/l").found == "/l does not answer")
    }

    @Test(
        arguments: [
            (1 << 30, 1000, Check.State.ok), (1 << 30, nil, .ok), (31 << 20, 1000, .warning), (1 << 30, 31, .warning),
            ((1 << 20) - 1, 1000, .failed), (1 << 30, 0, .failed),
        ] as [(Int64, Int64?, Check.State)])
    func roomForLeasesIsJudged(bytes: Int64, files: Int64?, expected: Check.State) {
        #expect(
            storage {
                $0.freeBytes = bytes; $0.freeFiles = files
            }.spaceCheck.state == expected)
    }

    @Test(arguments: ["nolock", "local_lock=all", "local_lock=posix"])
    func locksThatStayOnThisHostAreWarnedOf(option: String) {
        let check = storage { $0.options = ["rw", option, "vers=4.2"] }.locksCheck
        #expect(check.state == .warning && check.found.hasSuffix(option))
        #expect(storage { $0.options = ["rw", "local_lock=none"] }.locksCheck.state == .ok)
    }

    @Test func kindsOfFileSystemsAreToldApart() {
        #expect(FileSystemKind.reach(of: 0x6969, kind: "nfs4") == .shared)
        #expect(FileSystemKind.reach(of: 0xef53, kind: "ext4") == .local)
        #expect(FileSystemKind.reach(of: 0x6573_5546, kind: "fuse.glusterfs") == .shared)
        #expect(FileSystemKind.reach(of: 0x6573_5546, kind: "fuse.mine") == .unknown)
        #expect(FileSystemKind.reach(of: 0x0102_1994, kind: nil) == .local)
    }

    // MARK: The report

    @Test func factsAreTakenLineByLineAndGarbageIsNone() {
        var facts = Facts()
        for line in ["{\"a\":1}", "", "{\"a\"", "[1]", "{\"a\":2,\"b\":\"x\"}"] { facts.add(line) }
        #expect(facts.integer("a") == 2 && facts.number("a") == 2 && facts.string("b") == "x" && facts.bool("b") == nil)
    }

    @Test func theReportCountsEachStateAndLeavesOutAdviceWhereThereIsNone() {
        let report = HostReport(checks: [
            .ok(.clock, "fine"), .warning(.watchdog, "off", advice: "start it"), .failed(.daemon, "gone", advice: "do"),
            .notChecked(.lockspace, "no daemon"),
        ])
        #expect(report.failed.map(\.name) == [.daemon] && Check.State.allCases.allSatisfy { report.count($0) == 1 })
        let text = report.json.description
        #expect(text.contains(#"{"name":"clock","state":"ok","found":"fine"}"#))
        #expect(text.contains(#""summary":{"ok":1,"warning":1,"failed":1,"notChecked":1}"#))
    }
}
