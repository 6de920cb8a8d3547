import Foundation
import TestSupport
import Testing

/// What of root's power is left once the guest runs. Needs root.
@Suite struct CapabilityTests {
    private static let chown = 0, overrideAccess = 1, fileOwner = 3, kill = 5, lockMemory = 14, trace = 19, nice = 23

    /// The effective and permitted capabilities of every thread of a process.
    private func capabilities(of pid: Int32) throws -> [UInt64] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").flatMap { thread in
            // It may have ended meanwhile.
            let status = (try? String(contentsOfFile: "/proc/\(pid)/task/\(thread)/status", encoding: .utf8)) ?? ""
            return status.split(separator: "\n").filter { $0.hasPrefix("CapEff:") || $0.hasPrefix("CapPrm:") }
                .compactMap { UInt64($0.split(separator: "\t").last ?? "", radix: 16) }
        }
    }

    private func mask(_ capabilities: Int...) -> UInt64 {
        capabilities.reduce(0) { $0 | 1 << UInt64($1) }
    }

    @Test func supervisorAndKeeperKeepOnlyWhatTheyNeed() throws {
        try withScratch { scratch in
            let run = try scratch.directory("run")
            let supervisor = try scratch.start(
                Program(
                    try Products.supervisor(), ["--driver", "nop", "--name", "g", "--", "sleep", "60"],
                    environment: ["LEASEHOLD_RUN_DIR": run]))
            let keeper = try eventuallyFound(within: 10, every: 10, "the keeper") {
                processes(descendingFrom: supervisor.pid).first
            }
            let guest = try eventuallyFound(within: 10, every: 10, "the guest") {
                (try? String(contentsOfFile: "\(run)/guests/g/child.pid", encoding: .utf8))
                    .flatMap { Int32($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            }
            let allowed = mask(Self.chown, Self.overrideAccess, Self.fileOwner, Self.kill, Self.nice, Self.lockMemory)
            _ = try eventually(within: 5, every: 10, "the supervisor's threads drop the rest") {
                let held = (try? capabilities(of: supervisor.pid)) ?? []
                return held.count >= 4 && held.allSatisfy { $0 & ~allowed == 0 && $0 & mask(Self.kill) != 0 }
            }
            let keepers = mask(Self.kill, Self.lockMemory, Self.nice)
            try eventually(within: 5, every: 10, "the keeper drops the rest") {
                let held = try capabilities(of: keeper.pid)
                return !held.isEmpty && held.allSatisfy { $0 & ~keepers == 0 && $0 & mask(Self.kill) != 0 }
            }
            // The guest has what a direct start would have given it.
            #expect(Set(try capabilities(of: guest)) == Set(try capabilities(of: getpid())))
        }
    }

    /// The worker, which gives no disk's lease back that the guest has open to write.
    @Test func oneThreadOfALeasedGuestsSupervisorSeesWhatTheGuestHasOpen() throws {
        try Station.withTwo { hosts, here, _ in
            let guest = try here.start(["--disk", try hosts.disk()])
            let allowed = mask(
                Self.chown, Self.overrideAccess, Self.fileOwner, Self.kill, Self.nice, Self.lockMemory, Self.trace)
            try eventually(within: 5, every: 10, "the supervisor's threads drop the rest") {
                let held = try capabilities(of: guest.running.pid)
                // Effective and permitted.
                return held.allSatisfy { $0 & ~allowed == 0 } && held.count { $0 & mask(Self.trace) != 0 } == 2
            }
            try guest.stop()
        }
    }
}
