import ControlProtocol
import Foundation
import TestSupport
import Testing

/// `docs/readme-flow.md` names only commands, methods and calls that there are.
@Suite struct ReadmeFlowTests {
    private struct Row {
        let command: [String]
        let method: [String]
    }

    @Test func everyVarlinkMethodIsOne() throws {
        let text = interfaceText
        var count = 0
        for row in try Self.rows() {
            for name in row.method where name.first?.isUppercase == true {
                count += 1
                #expect(text.contains("method \(name)("), "\(name)")
            }
        }
        #expect(count > 15)
    }

    @Test func everySwiftCallIsOne() throws {
        let source = try Self.text(below: "Sources/LockManager") + Self.text(below: "Sources/DomainLock")
        let whole = try String(contentsOfFile: Self.document(), encoding: .utf8)
        let pattern = #/`(LockManager|LockManagerPlugin|LockManagerError|DomainLock|GuestIdentity)\.([A-Za-z]+)/#
        let calls = Set(whole.matches(of: pattern).map { "\($0.1) \($0.2)" })
        for call in calls {
            let name = call.split(separator: " ")[1]
            let declarations = [
                "public func \(name)(", "public static func \(name)(", "public var \(name):", "public \(name)(",
                "case \(name)(",
            ]
            #expect(declarations.contains { source.contains($0) }, "\(call)")
        }
        #expect(calls.count > 25)
    }

    @Test func everyCommandIsOne() throws {
        var known: [String: String] = [:]
        func help(_ words: [String]) throws -> String {
            let key = words.joined(separator: " ")
            if let text = known[key] { return text }
            let program = try words.first == "run" ? Products.supervisor() : Products.cli()
            let arguments = words.first == "run" ? [] : words
            let text = try Program.run(program, arguments + ["--help"]).expecting(.exit(0)).output
            known[key] = text
            return text
        }
        var count = 0
        for row in try Self.rows() {
            for text in row.command where text.hasPrefix("leasehold ") {
                var path: [String] = []
                for word in text.split(separator: " ").dropFirst().map(String.init) {
                    if word == "--" { break }
                    let isOption = word.hasPrefix("--")
                    guard isOption || word.first?.isLowercase == true else { continue }
                    let text = try help(path)
                    // The supervisor's help has options, and is that of run.
                    #expect(text.contains(isOption ? word : "  \(word) ") || word == "run", "\(path) \(word)")
                    if !isOption { path.append(word) }
                }
                count += 1
            }
        }
        #expect(count > 20)
    }

    private static func document() throws -> String { try root() + "/docs/readme-flow.md" }

    private static func root() throws -> String {
        var url = URL(fileURLWithPath: #filePath)
        while url.path != "/" {
            url.deleteLastPathComponent()
            if FileManager.default.fileExists(atPath: url.appendingPathComponent("Package.swift").path) {
                return url.path
            }
        }
        throw TestFailure("the package is not around \(#filePath)")
    }

    private static func text(below folder: String) throws -> String {
        let path = try "\(root())/\(folder)"
        return try FileManager.default.contentsOfDirectory(atPath: path).map {
            try String(contentsOfFile: "\(path)/\($0)", encoding: .utf8)
        }.joined()
    }

    // What stands between backticks in each cell of the tables.
    private static func rows() throws -> [Row] {
        try String(contentsOfFile: document(), encoding: .utf8).split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { cell in
                cell.matches(of: #/`([^`]+)`/#).map { String($0.1) }
            }
            guard line.hasPrefix("|"), cells.count == 4 else { return nil }
            return Row(command: cells[1], method: cells[2])
        }
    }
}
