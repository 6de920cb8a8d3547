import Foundation
import Synchronization
import TestSupport

/// Runs cells on pairs of hosts: those whose daemon goes on on one pair, some at a time; those that end it, and those of
/// guests that are paused by its end, on a pair a signal, since its end hits every guest on it.
struct KillMatrixRun {
    let cells: [KillCell]
    /// How many cells are looked at side by side.
    var width = 3

    /// Every cell's verdict, in the order of the cells.
    func verdicts() -> [KillVerdict] {
        let collected = Mutex<[KillCell: KillVerdict]>([:])
        let living = cells.filter { !$0.endsDaemon && $0.phase != .paused }
        let rounds = [cells.filter(\.endsDaemon), cells.filter { $0.phase == .paused }].flatMap {
            Dictionary(grouping: $0, by: \.blow).values
        }
        // The longest one first.
        sideBySide((living.isEmpty ? [] : [living]) + rounds, width: 2) { group in
            let isRound = group[0].endsDaemon || group[0].phase == .paused
            let found = isRound ? roundAgain(group) : oneByOne(group)
            collected.withLock { all in for verdict in found { all[verdict.cell] = verdict } }
        }
        let all = collected.withLock { $0 }
        return cells.map { all[$0] ?? KillVerdict(cell: $0, failures: ["was not looked at"]) }
    }

    private func oneByOne(_ cells: [KillCell]) -> [KillVerdict] {
        let found = Mutex<[KillVerdict]>([])
        do {
            try withTwoHosts { hosts in
                sideBySide(cells, width: width) { cell in
                    var verdict = look(at: cell, hosts)
                    for _ in 0..<2 where verdict.wasNotReached { verdict = look(at: cell, hosts) }
                    found.withLock { [verdict] in $0.append(verdict) }
                }
            }
        } catch {
            return cells.map { KillVerdict(cell: $0, failures: ["\(error)"]) }
        }
        return found.withLock { $0 }
    }

    private func look(at cell: KillCell, _ hosts: TwoHosts) -> KillVerdict {
        do {
            let scene = try KillScene(cell, hosts)
            guard scene.isInPhase else { return notReached(scene) }
            let daemon = cell.victims.contains(.daemon) ? hosts.first.daemon : nil
            var judge = KillJudge([scene], try KillStrike([scene], daemon: daemon))
            judge.judgeGuests()
            judge.judgeEndings()
            judge.judgeLeases()
            return judge.verdicts[0]
        } catch {
            return failed(cell, error)
        }
    }

    private func notReached(_ scene: KillScene) -> KillVerdict {
        scene.program.end()
        scene.hunter?.program.end()
        return KillVerdict(
            cell: scene.cell, failures: ["the guest did not stay where it was to be hit"], wasNotReached: true)
    }

    private func failed(_ cell: KillCell, _ error: any Error) -> KillVerdict {
        let isOfMachine = (error as? TestFailure)?.isOfSlowStorage == true
        if isOfMachine { print("kill matrix: \(cell): \(error): once more") }
        return KillVerdict(cell: cell, failures: ["\(error)"], wasNotReached: isOfMachine)
    }

    /// Again what could not be brought into its phase, a few at a time: on a machine that is busy an emulator may not stand
    /// still in the time that it is given, and is killed, as it has to be. What never does is a failure.
    private func roundAgain(_ cells: [KillCell]) -> [KillVerdict] {
        var verdicts = round(cells)
        for _ in 0..<KillMatrixRun.mostRepetitions {
            let again = verdicts.filter(\.wasNotReached).map(\.cell).prefix(width)
            if again.isEmpty { break }
            verdicts.removeAll { again.contains($0.cell) }
            verdicts += round(Array(again))
        }
        return verdicts
    }

    private static let mostRepetitions = 12

    /// Cells that share a daemon that ends.
    private func round(_ cells: [KillCell]) -> [KillVerdict] {
        do {
            return try withTwoHosts { hosts in
                let scenes = Mutex<[KillScene]>([])
                let failures = Mutex<[KillVerdict]>([])
                // A gate holds for as long as the kernel lets it (`/proc/sys/fs/lease-break-time`): those come last.
                let inOrder = cells.filter { $0.phase != .spawning } + cells.filter { $0.phase == .spawning }
                sideBySide(inOrder, width: width) { cell in
                    do {
                        let scene = try KillScene(cell, hosts)
                        scenes.withLock { $0.append(scene) }
                    } catch {
                        failures.withLock { $0.append(failed(cell, error)) }
                    }
                }
                let ready = scenes.withLock { $0 }
                guard !ready.isEmpty else { return failures.withLock { $0 } }
                let found = try cells[0].phase == .paused ? lookPaused(ready, hosts) : lookWhileDaemonEnds(ready, hosts)
                return found + failures.withLock { $0 }
            }
        } catch {
            return cells.map { KillVerdict(cell: $0, failures: ["\(error)"]) }
        }
    }

    private func lookWhileDaemonEnds(_ all: [KillScene], _ hosts: TwoHosts) throws -> [KillVerdict] {
        let missing = all.filter { !$0.isInPhase }.map(notReached)
        let scenes = all.filter { scene in !missing.contains { $0.cell == scene.cell } }
        if scenes.isEmpty { return missing }
        var judge = KillJudge(scenes, try KillStrike(scenes, daemon: hosts.first.daemon))
        judge.judgeGuests()
        judge.judgeEndings()
        try hosts.first.daemon.restart()
        try hosts.first.join()
        judge.judgeLeases()
        return judge.verdicts + missing
    }

    /// The daemon is killed and restarted. Its lockspace's file is out of its place until the end, so that nobody joins
    /// and the guests stay paused.
    private func lookPaused(_ scenes: [KillScene], _ hosts: TwoHosts) throws -> [KillVerdict] {
        // An emulator that is busy may take longer to stop than it is given, and is killed then.
        pause(milliseconds: 1500)
        let aside = "\(hosts.lockspacePath).aside"
        guard rename(hosts.lockspacePath, aside) == 0 else { throw TestFailure("can't rename the lockspace's file") }
        let killed = monotonicNanoseconds()
        try hosts.first.daemon.restart()
        let all = scenes
        let scenes = all.filter { (try? $0.awaitPause()) != nil }
        print("kill matrix: \(scenes.count) of \(all.count) guests paused within \(secondsSince(killed)) s")
        let missing = all.map(\.cell).filter { cell in !scenes.contains { $0.cell == cell } }
            .map { KillVerdict(cell: $0, failures: ["the guest was not paused"], wasNotReached: true) }
        if scenes.isEmpty { return missing }
        // The daemon's end is seen by all: those that it is not meant for come first.
        let groups = [false, true].map { isHit in scenes.filter { $0.cell.victims.contains(.daemon) == isHit } }
        var judges: [KillJudge] = []
        for (isHit, group) in zip([false, true], groups) where !group.isEmpty {
            var judge = KillJudge(group, try KillStrike(group, daemon: isHit ? hosts.first.daemon : nil))
            judge.judgeGuests()
            judge.judgeEndings()
            judges.append(judge)
        }
        guard rename(aside, hosts.lockspacePath) == 0 else { throw TestFailure("can't put the lockspace's file back") }
        // Without a lockspace a daemon ends by SIGTERM, in its own time; and supervisors whose guests are paused join too.
        try eventually(within: 60, every: 100, "host 1 being in the lockspace again") {
            let daemon = hosts.first.daemon
            if !daemon.isRunning { try daemon.restart() }
            let spaces = (try? daemon.clientStatus().lockspaces) ?? []
            if spaces.contains(where: \.remarks.isEmpty) { return true }
            try? hosts.first.join()
            return false
        }
        for index in judges.indices { judges[index].judgeLeases() }
        return judges.flatMap(\.verdicts) + missing
    }
}

/// Does something to each item, some at a time, and returns when all is done. The tests' own threads have other work.
func sideBySide<Item: Sendable>(_ items: [Item], width: Int, _ body: @escaping @Sendable (Item) -> Void) {
    let next = Mutex(0)
    let group = DispatchGroup()
    for _ in 0..<min(width, items.count) {
        group.enter()
        let thread = Thread {
            while true {
                let index = next.withLock { next in
                    defer { next += 1 }
                    return next
                }
                guard index < items.count else { break }
                body(items[index])
            }
            group.leave()
        }
        thread.start()
    }
    group.wait()
}
