import Foundation
import Synchronization
import TestSupport

/// Runs faults side by side, and shows what came of them.
enum FaultTable {
    /// Runs these; each has two hosts of its own.
    ///
    /// - Parameter width: how many at a time.
    /// - Returns: the rows, in the order of the jobs.
    static func run(_ jobs: [(Fault, LossPolicy)], width: Int) async -> [FaultRow] {
        let queue = Mutex(Array(jobs.enumerated().reversed()))
        let rows = Mutex<[Int: FaultRow]>([:])
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let left = Mutex(min(width, jobs.count))
            // Threads, since each blocks for minutes, and the tests' own are few.
            for _ in 0..<min(width, jobs.count) {
                Thread {
                    while let (index, job) = queue.withLock({ $0.popLast() }) {
                        let row = runOne(job.0, job.1)
                        rows.withLock { $0[index] = row }
                    }
                    if left.withLock({ left in
                        left -= 1
                        return left == 0
                    }) {
                        done.resume()
                    }
                }.start()
            }
        }
        return rows.withLock { rows in rows.sorted { $0.key < $1.key }.map(\.value) }
    }

    private static func runOne(_ fault: Fault, _ policy: LossPolicy) -> FaultRow {
        do {
            let stage = try FaultStage(fault, policy)
            defer { stage.end() }
            let row = try stage.run()
            say(cells(row).joined(separator: " · "))
            if !row.problems.isEmpty { tellStory(of: stage, row) }
            return row
        } catch {
            var row = FaultRow(fault: fault.name, policy: policy)
            row.problems = ["\(error)"]
            return row
        }
    }

    /// What one needs to know to find out why.
    private static func tellStory(of stage: FaultStage, _ row: FaultRow) {
        let announced = stage.first.announced.map { "\($0)" }.joined(separator: "\n  ")
        let log = stage.daemon.log.split(separator: "\n").suffix(30).joined(separator: "\n  ")
        say(
            """
            \(row.fault) (\(row.policy)): \(row.problems.joined(separator: "; "))
              \(stage.first.guest.running.errors)
              \(announced)
              \(stage.first.exitRecord.map { "\($0)" } ?? "no exit record")
              other: \(stage.other.trouble)
              daemon:
              \(log)
            """)
    }

    // MARK: Showing

    /// At once, also into a file.
    static func say(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

    private static let heading = [
        "fault", "policy", "guest", "stopped after", "other host's lease after", "to spare", "overlaps",
    ]

    private static func cells(_ row: FaultRow) -> [String] {
        func seconds(_ value: Double?) -> String { value.map { String(format: "%.2f s", $0) } ?? "–" }
        let overlap = row.overlaps == 0 ? "0" : "\(row.overlaps) in \(seconds(row.overlapSeconds))"
        var guest = row.guest
        if let growth = row.versionGrowth { guest += ", version +\(growth)" }
        if row.refusal != nil { guest += "; the other start was refused" }
        return [
            row.fault, row.policy.rawValue, guest, seconds(row.stoppedAfterSeconds), seconds(row.leaseAfterSeconds),
            seconds(row.toSpareSeconds), overlap + (row.isKnownHole ? " (known)" : ""),
        ]
    }

    /// For people at a terminal.
    static func text(_ rows: [FaultRow]) -> String {
        let lines = [heading] + rows.map(cells)
        let widths = heading.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            zip(line, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// For docs/failures.md.
    static func markdown(_ rows: [FaultRow]) -> String {
        let lines = [heading, heading.map { _ in "---" }] + rows.map(cells)
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n") + "\n"
    }
}
