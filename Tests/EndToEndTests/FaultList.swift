import Foundation
import TestSupport

/// Every fault of the matrix. The io timeout is 1, and each begins right after a renewal: the daemon's time line has its
/// edges at 6 (warning), 8 (the lockspace has failed), 48 (SIGKILL) and 68 s (others may take the lease).
enum FaultList {
    private static func sleep(_ seconds: Double) { pause(milliseconds: seconds * 1000) }

    /// The least to spare where it is the time line that lets the other have the lease.
    private static let spare = 10.0
    /// Before this the guest has to have stopped writing, whatever has failed.
    private static let latest = 50.0

    private static func expectation(_ seconds: Double) -> Fault.Expectation {
        // At the edge itself it may go either way.
        seconds < 7 ? .goesOn : seconds < 10 ? .either : .stops(withinSeconds: latest)
    }

    /// For as long as the daemon's time line can last: it may begin when the fault ends.
    private static func patience(_ seconds: Double) -> Double? { seconds < 7 ? nil : seconds + 76 }

    static let daemonGone: [Fault] = [
        Fault(
            name: "daemon killed", expectation: .stops(withinSeconds: 1), leastToSpareSeconds: 60,
            make: { $0.killDaemon() }),
        Fault(
            name: "daemon killed, another started", expectation: .either,
            make: {
                $0.killDaemon()
                try $0.daemon.restart()
            }),
        Fault(
            name: "daemon killed, another started that joins", expectation: .stops(withinSeconds: 1),
            make: {
                $0.killDaemon()
                try $0.daemon.restart()
                try $0.hosts.join(1)
            }),
        Fault(
            name: "daemon shut down by force", expectation: .stops(withinSeconds: 3),
            make: {
                let shutdown = ["client", "shutdown", "-f", "1"]
                _ = try $0.hosts.scratch.start(Program("sanlock", shutdown, environment: $0.daemon.environment))
            }),
    ]

    static let daemonHangs: [Fault] = [3, 6.5, 8.5, 20, 47, 70].map { seconds in
        Fault(
            name: "daemon stands still for \(seconds.formatted()) s", expectation: expectation(seconds),
            leastToSpareSeconds: seconds > 50 ? spare : 0, patienceSeconds: patience(seconds),
            make: {
                $0.daemon.stop()
                sleep(seconds)
                $0.daemon.cont()
            })
    }

    static let lockspaceRemoved: [Fault] = [
        Fault(
            name: "lockspace removed by force", expectation: .stops(withinSeconds: 3),
            make: {
                let remove = ["client", "rem_lockspace", "-s", try $0.hosts.lockspaceText(1)]
                _ = try $0.hosts.scratch.start(Program("sanlock", remove, environment: $0.daemon.environment))
            })
    ]

    private static func storage(
        _ name: String, _ mode: FaultFileSystem.Mode, _ seconds: Double, withDisk: Bool = false,
        expectation wanted: Fault.Expectation? = nil
    ) -> Fault {
        Fault(
            name: "\(name) for \(seconds.formatted()) s", storage: .faulty, diskIsOnStorage: withDisk,
            expectation: wanted ?? expectation(seconds),
            leastToSpareSeconds: seconds > 50 && !withDisk ? spare : 0, patienceSeconds: patience(seconds),
            make: {
                try $0.hosts.faultFileSystem?.set(mode)
                sleep(seconds)
                try $0.hosts.faultFileSystem?.set(.working)
            })
    }

    static let storageHangs: [Fault] =
        [5, 20, 60, 75].map { storage("lease storage hangs", .hanging, $0) }
        + [5, 20, 75].map { seconds in
            Fault(
                name: "lease storage frozen for \(seconds.formatted()) s", storage: .freezable,
                expectation: expectation(seconds), leastToSpareSeconds: seconds > 50 ? spare : 0,
                patienceSeconds: patience(seconds),
                make: {
                    try $0.hosts.freeze()
                    sleep(seconds)
                    try $0.hosts.thaw()
                })
        }

    static let storageSlow: [Fault] = [
        storage("each access takes 0.3 s", .delaying(milliseconds: 300), 30, expectation: .goesOn),
        storage("each access takes 3 s", .delaying(milliseconds: 3000), 40, expectation: .either),
        traced("the daemon's accesses take 3 s", "io_submit:delay_enter=3000000", 40, expectation: .either),
    ]

    static let storageFails: [Fault] =
        [5, 20, 75].map { storage("lease storage fails", .failing, $0) }
        + [5, 20, 75].map { traced("the daemon's accesses fail", "io_submit:error=EIO", $0) }

    private static func traced(
        _ name: String, _ injection: String, _ seconds: Double, expectation wanted: Fault.Expectation? = nil
    ) -> Fault {
        Fault(
            name: "\(name) for \(seconds.formatted()) s", expectation: wanted ?? expectation(seconds),
            leastToSpareSeconds: seconds > 50 ? spare : 0, patienceSeconds: patience(seconds),
            make: {
                let call = injection.prefix { $0 != ":" }
                let arguments = ["-f", "-o", "/dev/null", "-p", "\($0.daemon.pid)"]
                let tracer = try $0.hosts.scratch.start(
                    Program("strace", arguments + ["-e", "trace=\(call)", "-e", "inject=\(injection)"]))
                try tracer.waitForOutput("attached", in: .errors)
                sleep(seconds)
                tracer.signal(SIGTERM)
                try tracer.wait(timeout: 20)
            })
    }

    private static func bothHang(
        _ mode: FaultFileSystem.Mode, _ seconds: Double, _ expectation: Fault.Expectation = .either
    ) -> Fault {
        let what = mode.description == "hang" ? "" : "writes to "
        return storage("\(what)lease and guest's disk hang", mode, seconds, withDisk: true, expectation: expectation)
    }

    static let bothDisks: [Fault] =
        [5, 20, 60].map { bothHang(.hanging, $0) }
        + [
            bothHang(.hangingWrites, 60),
            // What was on its way is written when the storage comes back, and nobody but a watchdog could prevent that.
            bothHang(.hangingWrites, 75, .knownHole),
        ]

    /// What a paused guest comes back from, where nobody else wants its lease meanwhile.
    static let nobodyElse: [Fault] =
        ([
            daemonGone[1], daemonHangs[3], storage("lease storage hangs", .hanging, 20),
            storage("lease storage fails", .failing, 20),
            bothHang(.hanging, 20),
        ] + storageHangs.filter { $0.name.contains("frozen for 20") }).map { fault in
            var fault = fault
            fault.name += ", nobody else"
            fault.other = .nobody
            fault.policies = [.pause]
            fault.expectation = .comesBack
            return fault
        }

    static let leaseFile: [Fault] = damages(.supervised, .stops(withinSeconds: 10)) + damages(.hunter, .knownHole)

    private static func damages(_ other: OtherGuest.Kind, _ expectation: Fault.Expectation) -> [Fault] {
        func fault(_ name: String, _ make: @escaping @Sendable (FaultStage, String) throws -> Void) -> Fault {
            let who = other == .hunter ? ", the other knows no record" : ""
            return Fault(
                name: "lease file \(name)\(who)", other: other, expectation: expectation,
                make: { try make($0, "\($0.hosts.first.leaseDirectory)/\(leaseName($0.disk.first))") })
        }
        let formatted = fault("formatted by hand") { stage, _ in
            try stage.hosts.second.daemon
                .sanlock("direct", "init", "-r", try stage.hosts.leaseText(stage.disk.first, 2)).expecting(.exit(0))
        }
        // Without a lease in it the file is of no use to one who doesn't make another.
        guard other == .supervised else { return [formatted] }
        return [
            fault("removed") { _, path in
                guard unlink(path) == 0 else { throw TestFailure("can't unlink \(path)") }
            },
            fault("emptied") { _, path in
                guard truncate(path, 0) == 0 else { throw TestFailure("can't truncate \(path)") }
            },
            fault("overwritten with zeros") { _, path in
                try Program.run("dd", ["if=/dev/zero", "of=\(path)", "bs=1M", "count=1", "conv=notrunc"])
                    .expecting(.exit(0))
            },
            formatted,
        ]
    }

    static let all =
        daemonGone + daemonHangs + lockspaceRemoved + storageHangs + storageSlow + storageFails + bothDisks + leaseFile
        + nobodyElse

    /// The faults of these names.
    static func named(_ names: String...) throws -> [Fault] {
        try names.map { name in
            guard let fault = all.first(where: { $0.name == name }) else { throw TestFailure("no fault “\(name)”") }
            return fault
        }
    }
}
