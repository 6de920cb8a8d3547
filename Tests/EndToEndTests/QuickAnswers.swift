import TestSupport
import Testing

/// How soon a command of `leasehold` answers.
enum QuickAnswers {
    /// Expects that a command answers within 100 ms.
    ///
    /// The machine has other things to do: so the quickest of five runs counts, and on top comes what the same program takes
    /// to say its version. Done soon where all is well: what hangs goes on failing meanwhile.
    ///
    /// - Returns: what the last run did.
    @discardableResult
    static func expect(_ command: Program, _ what: String) throws -> Outcome {
        var version = command
        version.arguments = ["--version"]
        var told: [String] = []
        var outcome = try command.run(timeout: 10).expecting(.exit(0))
        while outcome.seconds >= 0.1, told.count < 5 {
            let least = try version.run(timeout: 10).expecting(.exit(0)).seconds
            told.append("\(outcome.seconds) s, and a version \(least) s")
            if outcome.seconds < 0.1 + least { return outcome }
            outcome = try command.run(timeout: 10).expecting(.exit(0))
        }
        #expect(outcome.seconds < 0.1, "\(what): \(told)")
        return outcome
    }
}
