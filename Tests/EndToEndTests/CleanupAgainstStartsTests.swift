import Foundation
import TestSupport
import Testing

/// Clean-ups and starts on two hosts at the same time: never two holders, and nothing fails that shouldn't.
@Suite struct CleanupAgainstStartsTests {
    /// `LEASEHOLD_SECONDS`, 12 without it.
    private static let seconds =
        ProcessInfo.processInfo.environment["LEASEHOLD_SECONDS"].flatMap { Double($0) } ?? 12

    /// How a start may be refused: by a guest, by name or before its record is written, or by another start.
    private static let usual: Set = ["named", "released", "unnamed", "unnamed, mutual"]

    private func judge(
        _ storm: CleanupStorm, _ what: String, accepting accepted: Set<String> = usual,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let tally = storm.sum
        print("\(what): \(tally.summary)")
        #expect(tally.overlaps.isEmpty, "two holders: \(tally.overlaps.prefix(3))", sourceLocation: sourceLocation)
        #expect(tally.failures.isEmpty, "\(tally.failures.prefix(5))", sourceLocation: sourceLocation)
        #expect(!tally.runs.isEmpty && tally.cleanups + tally.foreignRemovals > 0, sourceLocation: sourceLocation)
        let kinds = tally.refusalsByKind.filter { !accepted.contains($0.key) }
        for (kind, refusals) in kinds {
            Issue.record("\(refusals.count) \(kind): \(refusals.prefix(3))", sourceLocation: sourceLocation)
        }
    }

    @Test func neverTwoHoldersAndNoStartOrCleanUpFails() throws {
        try withTwoHosts { hosts in
            try hosts.waitUntilSeen()
            let patterns: [(name: String, delays: Delays)] = [
                ("no delays", .none), ("slow daemons", Delays(daemons: Delays.daemonCalls)),
                ("slow tools", Delays(starts: Delays.startCalls, cleanups: Delays.cleanupCalls)), ("all slow", .all),
            ]
            for (name, delays) in patterns {
                let storm = try CleanupStorm(hosts)
                // In portions, so that other calls are slow each time.
                let portions = max(1, (Self.seconds / 40).rounded())
                for _ in 0..<Int(portions) {
                    try storm.run(seconds: Self.seconds / portions / Double(patterns.count), delays)
                }
                judge(storm, name)
                try expectAllRemoved(hosts, after: name)
            }
        }
    }

    @Test func libvirtsCleanUpDoesNoHarmToStarts() throws {
        try withTwoHosts { hosts in
            try hosts.waitUntilSeen()
            for (name, delays) in [("libvirt's, no delays", Delays.none), ("libvirt's, all slow", .all)] {
                let storm = try CleanupStorm(hosts)
                try storm.run(seconds: Self.seconds / 4, delays, cleaners: [.libvirts])
                try storm.run(seconds: Self.seconds / 4, delays, cleaners: [.ours, .libvirts])
                // Theirs has no section to be waited for, and is slow here.
                let more: Set = delays.daemons.isEmpty ? [] : ["unnamed, by nobody", "released, by nobody"]
                judge(storm, name, accepting: more.union(Self.usual))
                try expectAllRemoved(hosts, after: name)
            }
        }
    }

    /// Where nobody runs, a clean-up removes all there is.
    private func expectAllRemoved(
        _ hosts: TwoHosts, after what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
        var report = ""
        // What a killed or ended holder had is free some milliseconds later.
        _ = try? eventually(within: 5, every: 50) {
            report = try station.leasehold("lease", "cleanup", "--json").expecting(.exit(0)).output
            return try LeaseDirectory.visibleFiles(hosts.leaseDirectory) == [TwoHosts.lockspace]
        }
        #expect(
            try LeaseDirectory.visibleFiles(hosts.leaseDirectory) == [TwoHosts.lockspace],
            "left after \(what): \(report)", sourceLocation: sourceLocation)
    }
}
