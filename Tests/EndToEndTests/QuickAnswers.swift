import TestSupport
import Testing

/// How soon a command answers.
enum QuickAnswers {
    /// Runs a command of `leasehold` five times: each answers within 100 ms.
    ///
    /// The machine has other things to do. So the quickest of the five counts, where need be of some more; and one that takes
    /// a second is a fault only where the same program, started beside it, needs no time to say its version.
    ///
    /// - Returns: what the last one did.
    @discardableResult
    static func expect(_ command: Program, _ what: String) throws -> Outcome {
        var version = command
        version.arguments = ["--version"]
        var outcomes: [Outcome] = []
        while outcomes.count < 5 || outcomes.count < 20 && !outcomes.contains(where: { $0.seconds < 0.1 }) {
            let control = try version.start()
            defer { control.end() }
            let outcome = try command.run(timeout: 10).expecting(.exit(0))
            let least = try control.finish(timeout: 10).expecting(.exit(0)).seconds
            #expect(outcome.seconds - least < 1, "\(what): \(outcome.seconds) s, where \(least) s are of the machine")
            outcomes.append(outcome)
        }
        let seconds = outcomes.map(\.seconds)
        #expect((seconds.min() ?? 9) < 0.1, "\(what): \(seconds)")
        return try #require(outcomes.last)
    }
}
