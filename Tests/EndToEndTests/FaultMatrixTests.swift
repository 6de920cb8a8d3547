import Foundation
import TestSupport
import Testing

/// With each fault, and under both policies, guest A has stopped writing before another host may have its lease.
///
/// LEASEHOLD_FAULTS=all runs the whole matrix (`scripts/faults`), another value those faults whose names it is a part
/// of; without, one of each kind.
@Suite(.serialized) struct FaultMatrixTests {
    private static let wanted = ProcessInfo.processInfo.environment["LEASEHOLD_FAULTS"] ?? ""

    private static func jobs() throws -> [(Fault, LossPolicy)] {
        switch wanted {
        case "":
            // The long ones first.
            return try FaultList.named("lease storage hangs for 75 s", "daemon stands still for 70 s").map {
                ($0, .poweroff)
            }
                + FaultList.named(
                    "daemon killed", "lease storage fails for 20 s", "lease storage frozen for 20 s, nobody else",
                    "lease file formatted by hand"
                ).map { ($0, .pause) }
                + FaultList.named("lockspace removed by force", "lease file removed").map { ($0, .poweroff) }
        case "all": return FaultList.all.flatMap { fault in fault.policies.map { (fault, $0) } }
        default:
            let parts = wanted.split(separator: ",")
            let faults = FaultList.all.filter { fault in parts.contains { fault.name.contains($0) } }
            let policies = LossPolicy.allCases.filter { policy in
                ProcessInfo.processInfo.environment["LEASEHOLD_POLICY"].map { $0 == policy.rawValue } ?? true
            }
            return faults.flatMap { fault in policies.filter(fault.policies.contains).map { (fault, $0) } }
        }
    }

    @Test func guestHasStoppedBeforeAnotherHostMayTakeItsLease() async throws {
        let rows = await FaultTable.run(try Self.jobs(), width: Self.wanted.isEmpty ? 5 : 8)
        FaultTable.say(FaultTable.text(rows))
        if let path = ProcessInfo.processInfo.environment["LEASEHOLD_FAULTS_TABLE"] {
            try Data(FaultTable.markdown(rows).utf8).write(to: URL(fileURLWithPath: path))
        }
        for row in rows {
            for problem in row.problems { Issue.record("\(row.fault) (\(row.policy)): \(problem)") }
        }
    }
}
