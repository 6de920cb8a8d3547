import Foundation
import Synchronization
import TestSupport

/// Runs cells on pairs of hosts: those whose daemon goes on on one pair, some at a time; those that end it on a pair a
/// signal, since its end hits every guest on it.
struct KillMatrixRun {
    let cells: [KillCell]
    /// How many cells are looked at side by side.
    var width = 3

    /// Every cell's verdict, in the order of the cells.
    func verdicts() -> [KillVerdict] {
        let collected = Mutex<[KillCell: KillVerdict]>([:])
        let living = cells.filter { !$0.endsDaemon }
        let rounds = Dictionary(grouping: cells.filter(\.endsDaemon), by: \.blow).values.map { $0 }
        var groups: [[KillCell]] = rounds
        if !living.isEmpty { groups.append(living) }
        sideBySide(groups.reversed(), width: 2) { group in
            let found = group[0].endsDaemon ? round(group) : oneByOne(group)
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
                    let verdict = look(at: cell, hosts)
                    found.withLock { $0.append(verdict) }
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
            let daemon = cell.victims.contains(.daemon) ? hosts.first.daemon : nil
            var judge = KillJudge([scene], try KillStrike([scene], daemon: daemon))
            judge.judgeGuests()
            judge.judgeEndings()
            judge.judgeLeases()
            return judge.verdicts[0]
        } catch {
            return KillVerdict(cell: cell, failures: ["\(error)"])
        }
    }

    /// Cells that share the end of their daemon.
    private func round(_ cells: [KillCell]) -> [KillVerdict] {
        do {
            return try withTwoHosts { hosts in
                let scenes = Mutex<[KillScene]>([])
                let failed = Mutex<[KillVerdict]>([])
                sideBySide(cells, width: width) { cell in
                    do {
                        let scene = try KillScene(cell, hosts)
                        scenes.withLock { $0.append(scene) }
                    } catch {
                        failed.withLock { $0.append(KillVerdict(cell: cell, failures: ["\(error)"])) }
                    }
                }
                let ready = scenes.withLock { $0 }
                guard !ready.isEmpty else { return failed.withLock { $0 } }
                var judge = KillJudge(ready, try KillStrike(ready, daemon: hosts.first.daemon))
                judge.judgeGuests()
                judge.judgeEndings()
                try hosts.first.daemon.restart()
                try hosts.first.join()
                judge.judgeLeases()
                return judge.verdicts + failed.withLock { $0 }
            }
        } catch {
            return cells.map { KillVerdict(cell: $0, failures: ["\(error)"]) }
        }
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
