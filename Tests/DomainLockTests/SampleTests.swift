import Foundation
import LockManager
import TestSupport
import Testing

/// The sample programs of the documentation, run as a reader would.
@Suite struct SampleTests {
    @Test(arguments: drivers) func theLockManagerSampleRuns(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let disk = try stage.place.hosts.disk()
            let outcome = try sample(stage, "lock-manager-sample", [disk])
            #expect(outcome.status == .exit(0), "\(outcome)")
            #expect(outcome.output.contains("sample runs as process"))
            #expect(outcome.output.contains("holds __LIBVIRT__DISKS__:\(try leaseName(disk))") == stage.isSupervised)
            #expect(outcome.output.contains("sample has ended: stopped") == stage.isSupervised)
        }
    }

    @Test(arguments: drivers) func theDomainLockSampleRuns(_ driver: String) throws {
        try Stage.with(driver) { stage in
            let outcome = try sample(
                stage, "domain-lock-sample", [try stage.place.hosts.disk(), try stage.place.hosts.disk()])
            #expect(outcome.status == .exit(0), "\(outcome)")
            #expect(outcome.output.contains("sample runs as process"))
            #expect(outcome.output.contains("monitor: device_add"), "\(outcome)")
            #expect(outcome.output.contains("sample has ended: stopped") == stage.isSupervised)
        }
    }

    @Test func theSamplesSayWhoIsInTheWay() throws {
        try Stage.with("sanlock") { stage in
            let disk = try stage.place.hosts.disk()
            let owner = try stage.start(nil, [.disk(disk)])
            let outcome = try sample(stage, "lock-manager-sample", [disk])
            #expect(outcome.status == .exit(1))
            #expect(outcome.output.contains("busy: \(disk), by \(owner.manager.guest.name)"), "\(outcome)")
        }
    }

    private func sample(_ stage: Stage, _ name: String, _ disks: [String]) throws -> Outcome {
        // The supervisor is found beside the program, or in PATH.
        let folder = (try Products.supervisor() as NSString).deletingLastPathComponent
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return try Program(
            try Products.find(name, testFolderFirst: true),
            [stage.plugin.name, "sample", UUID().uuidString] + disks + ["--", "/bin/sleep", "60"],
            environment: stage.place.environment.merging(["PATH": "\(folder):\(path)"]) { $1 }
        ).run()
    }
}
