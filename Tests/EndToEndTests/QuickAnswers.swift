import TestSupport
import Testing

/// How soon a command of `leasehold` answers.
enum QuickAnswers {
    /// Runs a command some times: it answers within 100 ms.
    ///
    /// The machine has other things to do, so the quickest of five runs counts. One that takes a second is a fault only where
    /// the same program can say its version in half the time. Done soon where all is well: what hangs goes on failing meanwhile.
    ///
    /// - Returns: what the last one did.
    @discardableResult
    static func expect(_ command: Program, _ what: String) throws -> Outcome {
        var outcomes: [Outcome] = []
        while outcomes.count < 3 || outcomes.count < 5 && !outcomes.contains(where: { $0.seconds < 0.1 }) {
            let outcome = try command.run(timeout: 10).expecting(.exit(0))
            outcomes.append(outcome)
            guard outcome.seconds >= 1 else { continue }
            var version = command
            version.arguments = ["--version"]
            let control = try version.run().expecting(.exit(0)).seconds
            #expect(control > outcome.seconds / 2, "\(what): \(outcome.seconds) s, where a version takes \(control) s")
        }
        let seconds = outcomes.map(\.seconds)
        #expect((seconds.min() ?? 9) < 0.1, "\(what): \(seconds)")
        return try #require(outcomes.last)
    }
}
