import Foundation
import TestSupport

/// What became of a cell.
struct KillVerdict {
    let cell: KillCell
    /// What became of the guest, for the table.
    var fate = ""
    /// What was wrong; empty where all was as it has to be.
    var failures: [String] = []
    /// Whether the guest never was in the phase of the cell, so that nothing was tried.
    var wasNotReached = false
}

/// Looks at scenes after their blow, and compares what became of them with their rules. What goes wrong is noted, and
/// the rest looked at all the same.
struct KillJudge {
    private var scenes: [KillScene]
    private let strike: KillStrike
    private(set) var verdicts: [KillVerdict]
    /// When a process of each guest was last seen alive, in CLOCK_MONOTONIC.
    private var lastSeen: [UInt64]

    init(_ scenes: [KillScene], _ strike: KillStrike) {
        self.scenes = scenes
        self.strike = strike
        verdicts = scenes.map { KillVerdict(cell: $0.cell) }
        lastSeen = scenes.map { _ in strike.nanoseconds }
    }

    private mutating func check(_ index: Int, _ body: (inout KillJudge, KillScene) throws -> Void) {
        do { try body(&self, scenes[index]) } catch { verdicts[index].failures.append("\(error)") }
    }

    private mutating func note(_ index: Int, _ isRight: Bool, _ what: @autoclosure () -> String) {
        if !isRight { verdicts[index].failures.append(what()) }
    }

    // MARK: The guests

    /// Watches all guests at once, from the blow until what has to die is dead.
    mutating func judgeGuests() {
        var clock = KillClock(strike)
        var late: Set<Int> = []
        while true {
            let elapsed = clock.look()
            var isWaiting = false
            for (index, scene) in scenes.enumerated() {
                let now = monotonicNanoseconds()
                guard scene.guest.contains(where: \.exists) else { continue }
                lastSeen[index] = now
                let firstIsToDie = scene.rules.fate == .mayOutlive && scene.guest.first?.exists == true
                guard scene.rules.fate == .dies || firstIsToDie else { continue }
                if elapsed < scene.rules.mostSeconds { isWaiting = true } else { late.insert(index) }
            }
            // What is to go on is given time to go wrong.
            if !isWaiting, secondsSince(strike.nanoseconds) > 0.25 { break }
            clock.pause()
        }
        for index in scenes.indices {
            let rules = scenes[index].rules
            let living = scenes[index].guest.filter(\.exists)
            note(index, !late.contains(index), "alive \(rules.mostSeconds) s after the blow (\(clock)): \(living)")
            switch rules.fate {
            case .dies: break
            case .goesOn: check(index) { judge, scene in try judge.judgeUnharmed(index, scene) }
            case .mayOutlive: check(index) { judge, scene in try judge.judgeOutliving(index, scene, living) }
            }
            check(index) { judge, scene in try judge.describe(index, scene) }
        }
    }

    /// Nothing may have changed; the guest goes on, and ends by an order that has nothing to do with the blow.
    private mutating func judgeUnharmed(_ index: Int, _ scene: KillScene) throws {
        note(index, scene.program.isRunning, "the supervisor ended: \(scene.program)")
        note(index, scene.keeper?.exists ?? true, "the keeper ended")
        note(index, scene.guest.allSatisfy(\.exists), "the guest ended: \(scene.guest)")
        note(index, scene.hunter?.hasLease != true, "the lease was free under a living guest")
        guard scene.program.isRunning else { return }
        switch scene.cell.phase {
        case .acquiring:
            let state = try scene.state()
            note(index, state == "acquiring", "it isn't waiting any more: \(state)")
            scene.program.signal(SIGTERM)
            note(index, try scene.program.wait(timeout: 5) == .signal(SIGTERM), "after SIGTERM: \(scene.program)")
            return
        case .spawning:
            scene.gate?.open()
            _ = try scene.record.waitUntilReady(within: 10)
        case .paused:
            let state = try scene.state()
            note(index, state == "paused", "it isn't paused any more: \(state)")
            return
        case .running, .stopping:
            break
        }
        try judgeKill(index, scene)
    }

    /// A guest that went on is ended by order.
    private mutating func judgeKill(_ index: Int, _ scene: KillScene) throws {
        try scene.stage.leasehold("kill", "guest").expecting(.exit(0))
        let ending = KillEnding(
            status: .signal(SIGKILL), record: KillRecord("killed", .signal(SIGKILL), leasesFree: true))
        try judgeEnding(index, scene, among: [ending])
    }

    /// Nobody is left to kill what the guest has forked: it keeps the lease until somebody looks.
    private mutating func judgeOutliving(_ index: Int, _ scene: KillScene, _ living: [ProcessIdentity]) throws {
        note(index, scene.guest.first?.exists == false, "the guest's first process lives on")
        note(index, living.isEmpty || scene.hunter?.hasLease != true, "the lease was free under a living guest")
        let list = try scene.stage.leasehold("list")
        note(index, living.isEmpty || list.errors.contains("left behind"), "`list` says nothing of it: \(list)")
        note(index, !scene.guest.contains(where: \.exists), "`list` left \(scene.guest)")
    }

    private mutating func describe(_ index: Int, _ scene: KillScene) throws {
        let ran = scene.cell.phase == .paused || scene.record.isReady
        let isToRun = scene.cell.phase.ranGuest || scene.cell.phase == .spawning && scene.rules.fate == .goesOn
        note(index, ran == isToRun, ran ? "the guest ran" : "the guest never ran")
        // A probe notes its own last moments, to a fifth of a millisecond.
        if scene.record.isReady { lastSeen[index] = max(try scene.record.lastAliveNanoseconds(), strike.nanoseconds) }
        if scene.rules.fate == .goesOn {
            verdicts[index].fate = scene.cell.phase == .acquiring ? "waits on" : "goes on"
            return
        }
        guard scene.keeper != nil else {
            verdicts[index].fate = "never ran"
            return
        }
        let seconds = Double(lastSeen[index] - strike.nanoseconds) / 1e9
        if scene.rules.fate == .mayOutlive, seconds > 0.2 {
            verdicts[index].fate = "held until list"
        } else {
            verdicts[index].fate = "\(ran ? "dead" : "never ran"), \(Int((seconds * 1000).rounded(.up))) ms"
        }
    }

    // MARK: Supervisors and records

    /// Waits for the supervisors' ends, and looks at how they ended and what is on record.
    mutating func judgeEndings() {
        for index in scenes.indices where scenes[index].rules.fate != .goesOn {
            check(index) { judge, scene in try judge.judgeEnding(index, scene, among: scene.rules.endings) }
        }
    }

    private mutating func judgeEnding(_ index: Int, _ scene: KillScene, among endings: [KillEnding]) throws {
        let status = try scene.program.wait(timeout: 8)
        note(
            index, scene.keeper.map { keeper in (try? eventually(within: 5) { !keeper.exists }) != nil } ?? true,
            "the keeper is left")
        if scene.rules.isRecordedByList {
            try scene.stage.leasehold("list").expecting(.exit(0))
        } else {
            note(index, scene.stage.guestDirectories.isEmpty, "left in the run directory")
        }
        let path = "\(scene.stage.runDirectory)/exits/guest.json"
        let record = access(path, F_OK) == 0 ? try KillRecord(try scene.stage.exitRecord()) : nil
        let ending = KillEnding(status: status, record: record)
        if case .exit = status, record == nil {
            let lines = scene.program.errors.split(separator: "\n")
            note(index, lines.count == 1, "not one line: \(lines)")
        }
        let allowed = Set(endings.map { "\($0)" }).sorted().joined(separator: ", or ")
        note(index, endings.contains(ending), "ended by \(ending), not \(allowed); \(scene.program.errors.suffix(400))")
    }

    // MARK: Leases

    /// Looks that host 2 got each lease, after the guest's end and not before, and that nothing is left. The hosts have to
    /// be in the lockspace again.
    mutating func judgeLeases() {
        for index in scenes.indices {
            check(index) { judge, scene in
                if scene.cell.phase == .paused, scene.rules.fate == .goesOn { try judge.judgeResumed(index, scene) }
                if let hunter = scene.hunter {
                    let got = try hunter.gotNanoseconds(within: 30)
                    judge.note(index, got > judge.lastSeen[index], "host 2 had the lease before the guest's end")
                    try hunter.end()
                }
                if let holder = scene.holder {
                    judge.note(index, try judge.isHeld(scene, by: holder), "host 2 has lost its lease")
                    holder.end()
                    try eventually(within: 5, "the holder's lease being free") { try !scene.stage.isHeld() }
                }
                try scene.stage.expectNothingLeft()
            }
        }
    }

    /// With lockspace and daemon in order again, a paused guest goes on by itself, and has its lease.
    private mutating func judgeResumed(_ index: Int, _ scene: KillScene) throws {
        try eventually(within: 30, every: 50, "the guest going on: \(scene.program.errors)") {
            try scene.state() == "running"
        }
        let leases = try scene.stage.hosts.first.daemon.clientStatus().resources(of: scene.program.pid)
        note(index, leases.count == 1, "it went on without its lease")
        try judgeKill(index, scene)
    }

    private func isHeld(_ scene: KillScene, by holder: RunningProgram) throws -> Bool {
        try scene.stage.hosts.second.daemon.clientStatus().resources(of: holder.pid).count == 1
    }
}
