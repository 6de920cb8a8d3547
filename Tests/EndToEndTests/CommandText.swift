import Foundation
import TestSupport
import Testing

/// A table that a command has printed: headings, and rows whose cells stand below them.
struct CommandTable {
    let headings: [String]
    let rows: [[String: String]]

    /// Reads a table, and records an issue for each row that is not aligned.
    init(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(Array.init)
        guard let first = lines.first, lines.last == [] else { throw TestFailure("no table: \(text)") }
        // A heading may have one space in it; two end it.
        let starts = first.indices.filter { index in
            first[index] != " "
                && (index == 0 || index > 1 && first[index - 1] == " " && first[index - 2] == " ")
        }
        let ends = starts.dropFirst() + [Int.max]
        func cells(_ line: [Character]) -> [String] {
            zip(starts, ends).map { start, end in
                let cell = line[min(start, line.count)..<min(end, line.count)]
                return String(cell).trimmingCharacters(in: .whitespaces)
            }
        }
        let headings = cells(first)
        self.headings = headings
        rows = lines.dropFirst().dropLast().map { line in
            let isAligned = starts.allSatisfy { start in
                start == 0
                    || start < line.count && line[start] != " " && line[start - 1] == " "
                        && line[start - 2] == " "
            }
            #expect(
                isAligned && line.last != " ", "not aligned: \(String(line))",
                sourceLocation: sourceLocation)
            return Dictionary(zip(headings, cells(line))) { first, _ in first }
        }
    }

    /// The only row with this in a column.
    func row(_ heading: String, _ cell: String) throws -> [String: String] {
        let found = rows.filter { $0[heading] == cell }
        guard let row = found.first, found.count == 1 else {
            throw TestFailure("not one row but \(found.count) with \(heading) \(cell)")
        }
        return row
    }
}

/// The facts that a command has printed, a line each: `Disk:  /dev/…`.
struct CommandFacts {
    let facts: [String: String]

    /// Reads lines up to the first empty one, and records an issue for each that is not aligned.
    init(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        var facts: [String: String] = [:]
        var begins: Set<Int> = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).prefix(while: {
            !$0.isEmpty
        }) {
            let characters = Array(line)
            guard let colon = characters.firstIndex(of: ":"),
                let begin = characters[(colon + 1)...].firstIndex(where: { $0 != " " })
            else { throw TestFailure("no fact: \(line)") }
            begins.insert(begin)
            facts[String(characters[..<colon])] = String(characters[begin...])
        }
        #expect(begins.count == 1, "not aligned: \(text)", sourceLocation: sourceLocation)
        self.facts = facts
    }

    subscript(name: String) -> String? { facts[name] }
}

extension Outcome {
    /// Itself, where it is a success that wrote nothing to standard error and nothing that moves a terminal's cursor or
    /// turns its direction.
    ///
    /// - Parameter warning: words of the one line that standard error has all the same.
    func expectingPlainText(
        warning: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Outcome {
        try expecting(.exit(0))
        if let warning {
            let lines = errors.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count == 2 && errors.contains(warning), "\(errors)", sourceLocation: sourceLocation)
        } else {
            #expect(errors == "", sourceLocation: sourceLocation)
        }
        let strange = output.unicodeScalars.filter { scalar in
            scalar != "\n"
                && (scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                    || scalar.properties.isBidiControl)
        }
        #expect(
            strange.isEmpty, "control characters \(strange.map(\.value)): \(output.prefix(2000).debugDescription)",
            sourceLocation: sourceLocation)
        return self
    }
}

extension Station {
    /// Runs `leasehold` in a directory, with more in its environment.
    func leasehold(
        _ arguments: [String], in directory: String? = nil, environment more: [String: String] = [:],
        timeout: Double = 30
    ) throws -> Outcome {
        try Program(
            try Products.cli(), arguments, environment: environment.merging(more) { $1 },
            directory: directory
        ).run(timeout: timeout)
    }

    /// Runs `leasehold`, which has to fail with this code and one line with these words.
    @discardableResult
    func leasehold(
        refusing arguments: String..., code: Int32, naming words: [String] = [],
        within seconds: Double = 5,
        environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let outcome = try leasehold(arguments, environment: environment)
        #expect(outcome.seconds < seconds, "\(outcome)", sourceLocation: sourceLocation)
        return expectOneLine(outcome, code: code, naming: words, sourceLocation: sourceLocation)
    }

    /// What `lease show` prints, as facts and as JSON.
    func lease(
        of disk: String, environment: [String: String] = [:], warning: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> (facts: CommandFacts, json: JSONValue) {
        let text = try leasehold(["lease", "show", disk], environment: environment)
            .expectingPlainText(warning: warning, sourceLocation: sourceLocation).output
        let json = try leasehold(["lease", "show", disk, "--json"], environment: environment).expecting(.exit(0)).json()
        return (try CommandFacts(text, sourceLocation: sourceLocation), json)
    }

    /// The row of a disk's lease in `lease list`, and its element in `lease list --json`.
    func row(
        of disk: String, environment: [String: String] = [:], warning: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> (row: [String: String], json: JSONValue) {
        let name = try leaseName(disk)
        let text = try leasehold(["lease", "list"], environment: environment)
            .expectingPlainText(warning: warning, sourceLocation: sourceLocation).output
        let json = try leasehold(["lease", "list", "--json"], environment: environment).expecting(.exit(0)).json()
        let found = (json.array ?? []).filter { $0["lease"]?.string == name }
        guard found.count == 1 else {
            throw TestFailure("not one element of \(name) but \(found.count)")
        }
        return (try CommandTable(text, sourceLocation: sourceLocation).row("LEASE", name), found[0])
    }
}
