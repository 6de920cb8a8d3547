import Foundation
import TestSupport
import Testing

/// Every process of a guest and its host killed in every way, in every phase: no guest without its lease, no lease without
/// its guest, a right exit record, nothing left.
///
/// `LEASEHOLD_KILLS=all` looks at all cells; any other value at those whose name (`supervisor+keeper running KILL`) has all
/// its words in it; without it at a sample, whose seed `LEASEHOLD_KILLS_SEED` gives. `LEASEHOLD_KILLS_RECORD=FILE` writes the
/// whole table into a document.
@Suite(.serialized) struct KillMatrixTests {
    @Test func noGuestWithoutLeaseAndNoLeaseWithoutGuest() throws {
        let environment = ProcessInfo.processInfo.environment
        let wish = environment["LEASEHOLD_KILLS"] ?? ""
        let seed = environment["LEASEHOLD_KILLS_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 1...999_999)
        let cells: [KillCell]
        switch wish {
        case "": cells = KillCell.sample(seed: seed)
        case "all": cells = KillCell.all
        default:
            let words = Set(wish.split(separator: " ").map(String.init))
            cells = KillCell.all.filter { words.isSubset(of: $0.description.split(separator: " ").map(String.init)) }
        }
        try #require(!cells.isEmpty, "LEASEHOLD_KILLS=\(wish) names no cell")
        let start = monotonicNanoseconds()
        let verdicts = KillMatrixRun(cells: cells).verdicts()
        let failed = verdicts.filter { !$0.failures.isEmpty }
        let seconds = Int(secondsSince(start).rounded())
        let summary = "\(cells.count) cells, \(failed.count) failed, in \(seconds) s."
        let table = KillTable(verdicts: verdicts)
        let sample = wish.isEmpty ? " Sample of seed \(seed) (LEASEHOLD_KILLS_SEED)." : ""
        print("kill matrix: \(summary)\(sample)\n\n\(table.text)\n")
        LastWords.add(table.failureLines.map { "kill matrix:\(sample) FAILED: \($0)" })
        for verdict in failed {
            Issue.record("\(verdict.cell): \(verdict.failures.joined(separator: "; "))")
        }
        if wish == "all", let path = environment["LEASEHOLD_KILLS_RECORD"] {
            try table.write(to: path, summary: summary)
        }
    }

    /// As the matrix has it, a fault kills; what only looks like one, since somebody has sent it, doesn't.
    @Test(arguments: [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS])
    func faultSignalsThatAreOnlySentChangeNothing(signal: Int32) throws {
        let stage = try KillStage.shared()
        let guest = try stage.start("fork=1")
        guest.keeper.signal(signal)
        guest.supervisor.signal(signal)
        pause(milliseconds: 100)
        #expect(guest.keeper.exists && guest.supervisor.exists)
        #expect(try guest.record.living().count == 2)
        guest.program.signal(SIGTERM)
        #expect(try guest.program.wait(timeout: 5) == .signal(SIGTERM))
        #expect(try stage.exitRecord()["reason"] == "stopped")
        try stage.expectNothingLeft()
    }
}
