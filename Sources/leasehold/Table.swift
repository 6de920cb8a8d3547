import ControlProtocol
import Platform

/// Facts of one thing, a line each, aligned.
func factsText(_ facts: [(String, String)]) -> String {
    let width = facts.map(\.0.count).max() ?? 0
    return facts.reduce(into: "") { text, fact in
        text += "\(fact.0):\(String(repeating: " ", count: width - fact.0.count)) \(fact.1.printable)\n"
    }
}

/// One fact for programs.
func fact(_ name: String, _ value: JSON) -> String {
    var object = JSON.Object()
    object[name] = value
    return JSON.object(object).description + "\n"
}

/// Rows under headings, columns aligned.
struct Table {
    private var rows: [[String]]

    init(_ headings: [String]) {
        rows = [headings]
    }

    mutating func add(_ row: [String]) {
        rows.append(row)
    }

    /// The table's text; the last column is not padded.
    var text: String {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.count)
            }
        }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}
