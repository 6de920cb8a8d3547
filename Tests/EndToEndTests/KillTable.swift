import Foundation
import TestSupport

/// The verdicts as a table: a row for each victim in each phase, a column for each signal. As Markdown, which is legible
/// in a test's output too.
struct KillTable {
    let verdicts: [KillVerdict]

    private static let beginning = "<!-- kill-matrix: begin -->"
    private static let end = "<!-- kill-matrix: end -->"

    /// The table, and below it what failed.
    var text: String {
        let found = Dictionary(verdicts.map { ($0.cell, $0) }) { first, _ in first }
        var rows = [["phase", "victim"] + KillBlow.allCases.map(\.rawValue)]
        for phase in KillPhase.allCases {
            for victims in KillCell.allVictims {
                let cells = KillBlow.allCases.map { found[KillCell(victims: victims, phase: phase, blow: $0)] }
                guard cells.contains(where: { $0 != nil }) else { continue }
                let texts = cells.map { $0.map { $0.failures.isEmpty ? $0.fate : "FAIL" } ?? "" }
                rows.append([phase.rawValue, KillCell.names(of: victims)] + texts)
            }
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        lines.insert("| " + widths.map { String(repeating: "-", count: $0) }.joined(separator: " | ") + " |", at: 1)
        let failures = failureLines.map { "- \($0)" }
        return (lines + (failures.isEmpty ? [] : ["", "Failed:", ""]) + failures).joined(separator: "\n")
    }

    /// What failed: the cell and what was wrong, a line each.
    var failureLines: [String] {
        verdicts.flatMap { verdict in
            verdict.failures.map { "\(verdict.cell): \($0.replacingOccurrences(of: "\n", with: " "))" }
        }
    }

    /// Puts table and summary into a document, in place of what is between its marks.
    func write(to path: String, summary: String) throws {
        let document = try String(contentsOfFile: path, encoding: .utf8)
        guard let from = document.range(of: Self.beginning), let to = document.range(of: Self.end),
            from.upperBound <= to.lowerBound
        else { throw TestFailure("\(path) has no “\(Self.beginning)” with “\(Self.end)” after it") }
        let fresh = document[..<from.upperBound] + "\n\(summary)\n\n\(text)\n" + document[to.lowerBound...]
        try Data(fresh.utf8).write(to: URL(fileURLWithPath: path))
    }
}
