import Foundation
import TestSupport
import Testing

/// What `leasehold doctor --json` says of a host.
struct Diagnosis {
    let outcome: Outcome
    let states: [String: String]
    let found: [String: String]
    let advice: [String: String]

    /// Warnings of every private daemon on local storage; the clock's is the machine's own.
    static let unavoidable: Set<String> = ["watchdog", "fileSystem", "clock"]

    private static let names = [
        "supervisorProgram", "runDirectory", "leftovers", "guestUsers", "diskPaths", "memoryLock", "clock", "daemon",
        "daemonLimits", "watchdog", "leaseDirectory", "leaseRights", "leaseStorage", "leaseLocks", "leaseSpace",
        "fileSystem", "lockspaceFile", "leaseFiles", "hostId", "lockspace",
    ]

    /// Runs doctor, and checks what holds of every answer: all checks in order, advice where there is something to do,
    /// a summary that counts right, an exit code that fits, and nothing left in a folder.
    init(
        _ environment: [String: String], prefix: [String] = [], watching folder: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let program = Program(try Products.cli(), ["doctor", "--json"], environment: environment)
        let before = Diagnosis.content(of: folder)
        outcome = try (prefix.isEmpty ? program : program.prefixed(by: prefix)).run(timeout: 40)
        let json = try outcome.json()
        let checks = try #require(json["checks"]?.array, sourceLocation: sourceLocation)
        let names = checks.compactMap { $0["name"]?.string }
        #expect(names == Diagnosis.names, sourceLocation: sourceLocation)
        func column(_ key: String) -> [String: String] {
            Dictionary(zip(names, checks.map { $0[key]?.string }).compactMap { name, text in text.map { (name, $0) } })
            {
                first, _ in first
            }
        }
        states = column("state")
        found = column("found")
        advice = column("advice")
        for name in names {
            #expect(found[name]?.isEmpty == false, sourceLocation: sourceLocation)
            if states[name] == "ok" { #expect(advice[name] == nil, sourceLocation: sourceLocation) }
            if states[name] == "failed" || states[name] == "warning" {
                #expect(advice[name] != nil, "\(name)", sourceLocation: sourceLocation)
            }
        }
        for state in ["ok", "warning", "failed", "notChecked"] {
            let count = states.values.filter { $0 == state }.count
            #expect(json["summary"]?[state]?.integer == count, sourceLocation: sourceLocation)
        }
        let failed = names.filter { states[$0] == "failed" }
        #expect((outcome.status == .exit(0)) == failed.isEmpty, "\(outcome)", sourceLocation: sourceLocation)
        let lines = outcome.errors.split(separator: "\n")
        #expect(lines.count == (failed.isEmpty ? 0 : 1), "\(outcome.errors)", sourceLocation: sourceLocation)
        for name in failed { #expect(lines.first?.contains(name) == true, sourceLocation: sourceLocation) }
        #expect(Diagnosis.content(of: folder) == before, "left behind", sourceLocation: sourceLocation)
    }

    private static func content(of folder: String?) -> Set<String> {
        folder.map { Set(FileManager.default.subpaths(atPath: $0) ?? []) } ?? []
    }

    /// Checks that nothing is wrong but what can't be helped here.
    func expectGood(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(outcome.status == .exit(0), "\(outcome)", sourceLocation: sourceLocation)
        for (name, state) in states where state != "ok" {
            let isKnown = state == "warning" && Diagnosis.unavoidable.contains(name)
            #expect(isKnown, "\(name): \(state): \(found[name] ?? "")", sourceLocation: sourceLocation)
        }
    }

    /// Checks that these states differ from those of a good host, and no other.
    func expect(
        _ changes: [String: String], saying words: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (name, state) in states.sorted(by: { $0.key < $1.key }) {
            let usual = Diagnosis.unavoidable.contains(name) ? ["ok", "warning"] : ["ok"]
            let expected = changes[name].map { [$0] } ?? usual
            #expect(
                expected.contains(state), "\(name) is \(state): \(found[name] ?? "")", sourceLocation: sourceLocation)
        }
        for (name, word) in words {
            #expect(
                found[name]?.contains(word) == true, "\(name): \(found[name] ?? "") lacks \(word)",
                sourceLocation: sourceLocation)
        }
    }
}

extension Station {
    /// What doctor says here.
    func diagnosis(
        prefix: [String] = [], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Diagnosis {
        try Diagnosis(environment, prefix: prefix, sourceLocation: sourceLocation)
    }
}
