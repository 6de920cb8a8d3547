import Foundation
import TestSupport
import Testing

/// `leasehold doctor` on a good host, and on hosts with one thing wrong: the daemon and the lockspace.
@Suite(.serialized) struct DoctorTests {
    @Test func aGoodHostPasses() throws {
        let hosts = try TwoHosts.ofDoctor
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let diagnosis = try station.diagnosis()
            diagnosis.expectGood()
            #expect(diagnosis.outcome.seconds < 6)
            #expect(diagnosis.found["daemon"]?.contains("pid \(hosts.first.daemon.pid)") == true)
            #expect(diagnosis.found["lockspace"]?.contains("host id 1") == true)
            // For people: the same in columns, with what to do below.
            let text = try station.leasehold("doctor").expecting(.exit(0)).output
            let parts = text.components(separatedBy: "\n\nWhat to do:\n")
            try #require(parts.count == 2, "\(text)")
            let table = try CommandTable(parts[0] + "\n")
            #expect(table.headings == ["CHECK", "STATE", "FOUND"])
            #expect(try table.row("CHECK", "daemon")["STATE"] == "ok")
            #expect(try table.row("CHECK", "watchdog")["STATE"] == "warning")
            #expect(parts[1].contains("watchdog:"))
        }
    }

    @Test func aGuestOfAnotherUserOnAGoodDiskChangesNothing() throws {
        let hosts = try TwoHosts.ofDoctor
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            let guest = try station.start(["--disk", try hosts.disk()], nobody + ["sleep", "60"])
            // Once it has written down who the guest is.
            try eventually(within: 5) {
                try station.diagnosis().found["guestUsers"]?.contains("none of 1 ") == true
            }
            try station.diagnosis().expectGood()
            try guest.stop()
        }
    }

    // MARK: The daemon

    @Test func aDaemonThatHangsIsSaidSoWithinSeconds() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            try station.diagnosis().expectGood()
            hosts.first.daemon.stop()
            let diagnosis = try station.diagnosis()
            hosts.first.daemon.cont()
            diagnosis.expect(
                ["daemon": "failed", "hostId": "notChecked", "lockspace": "notChecked"],
                saying: ["daemon": "does not answer"])
            #expect(diagnosis.outcome.status == .exit(69) && diagnosis.outcome.seconds < 9)
            try eventually(within: 10, "a good host again") {
                try station.diagnosis().outcome.status == .exit(0)
            }
            hosts.first.daemon.kill()
            let without = try station.diagnosis()
            without.expect(
                [
                    "daemon": "failed", "daemonLimits": "notChecked", "watchdog": "notChecked",
                    "leaseRights": "notChecked", "lockspace": "notChecked",
                ], saying: ["daemon": "can be reached"])
        }
    }

    /// A daemon set to use a watchdog, and to give its clients little time.
    @Test func watchdogAndGraceAreReadFromTheDaemonsOwnSettings() throws {
        try withScratch { scratch in
            let directory = try scratch.directory("s")
            let name = String(cString: getpwuid(getuid()).pointee.pw_name)
            var program = Program(
                "sanlock",
                ["daemon", "-D", "-w", "1", "-g", "3", "-l", "0", "-h", "0", "-L", "-1", "-S", "-1"]
                    + ["-U", name, "-G", name, "-e", "guarded"],
                environment: ["SANLOCK_RUN_DIR": directory, "SANLOCK_PRIVILEGED": "0"])
            program.output = .null
            program.errors = .null
            _ = try scratch.start(program)
            try eventually(within: 10) { FileManager.default.fileExists(atPath: "\(directory)/sanlock.sock") }
            let leases = try scratch.directory("leases")
            let file = try scratch.write("disk_lease_dir = \"\(leases)\"\nhost_id = 1\nio_timeout = 1\n", to: "c")
            let environment = [
                "SANLOCK_RUN_DIR": directory, "LEASEHOLD_RUN_DIR": try scratch.directory("r"), "LEASEHOLD_CONFIG": file,
            ]
            let fresh = ["lockspaceFile": "warning", "lockspace": "warning", "daemonLimits": "warning"]
            try Diagnosis(environment, watching: leases).expect(
                fresh, saying: ["watchdog": "wdmd does not run", "daemonLimits": "3 s", "lockspace": "not joined"])
            // Something that listens where wdmd would, seen by this one process.
            let listen =
                "import socket,sys,subprocess as p; s=socket.socket(socket.AF_UNIX); "
                + "s.bind('/run/wdmd/wdmd.sock'); s.listen(); sys.exit(p.call(sys.argv[1:]))"
            let shell = "mount -t tmpfs none /run && mkdir /run/wdmd && exec python3 -c \"$0\" \"$@\""
            let guarded = try Diagnosis(environment, prefix: ["unshare", "-m", "sh", "-c", shell, listen])
            guarded.expect(fresh, saying: ["watchdog": "on: "])
            #expect(guarded.states["watchdog"] == "ok")
        }
    }

    // MARK: The lockspace

    @Test func aLockspaceThatIsNotJoinedDamagedOrMissingIsNamed() throws {
        let hosts = try TwoHosts(joined: false)
        defer { hosts.end() }
        let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
        let path = hosts.lockspacePath
        func diagnosis() throws -> Diagnosis { try Diagnosis(station.environment, watching: hosts.leaseDirectory) }
        try diagnosis().expect(["lockspace": "warning"], saying: ["lockspace": "not joined"])
        let good = try Data(contentsOf: URL(fileURLWithPath: path))
        try Data(repeating: 7, count: good.count).write(to: URL(fileURLWithPath: path))
        try diagnosis().expect(
            ["lockspace": "warning", "lockspaceFile": "failed"], saying: ["lockspaceFile": "does not begin"])
        try good.prefix(4096).write(to: URL(fileURLWithPath: path))
        try diagnosis().expect(["lockspace": "warning", "lockspaceFile": "warning"])
        unlink(path)
        try diagnosis().expect(
            ["lockspace": "warning", "lockspaceFile": "warning"], saying: ["lockspaceFile": "missing"])
        // With leases that were made for it, it is more than a beginning.
        try Data(count: 1 << 20).write(to: URL(fileURLWithPath: try hosts.leasePath("/some/disk")))
        try diagnosis().expect(["lockspace": "warning", "lockspaceFile": "failed"])
        try Data(repeating: 1, count: 1 << 20).write(to: URL(fileURLWithPath: try hosts.leasePath("/some/disk")))
        try good.write(to: URL(fileURLWithPath: path))
        try diagnosis().expect(
            ["lockspace": "warning", "leaseFiles": "warning"], saying: ["leaseFiles": try leaseName("/some/disk")])
        unlink(try hosts.leasePath("/some/disk"))
    }

    @Test func aLockspaceFileThatWasReplacedUnderTheHostIsNamed() throws {
        try withTwoHosts { hosts in
            let station = try Station(on: hosts.first, of: hosts, hosts.scratch)
            let good = try Data(contentsOf: URL(fileURLWithPath: hosts.lockspacePath))
            unlink(hosts.lockspacePath)
            try station.diagnosis().expect(["lockspace": "failed", "lockspaceFile": "failed"])
            try good.prefix(512).write(to: URL(fileURLWithPath: hosts.lockspacePath))
            truncate(hosts.lockspacePath, 1 << 20)
            // Until the daemon has read its slot in its own file again it can't be told.
            try eventually(within: 15, every: 200, "the other file being noticed") {
                try station.diagnosis().states["lockspace"] == "failed"
            }
            try station.diagnosis().expect(["lockspace": "failed"], saying: ["lockspace": "not at"])
        }
    }

    @Test func aLockspaceJoinedOtherwiseThanConfiguredIsNamed() throws {
        let hosts = try TwoHosts.ofDoctor
        try withScratch { scratch in
            let station = try Station(hosts.first.daemon, id: 7, leaseDirectory: hosts.leaseDirectory, scratch)
            try station.diagnosis().expect(["lockspace": "failed"], saying: ["lockspace": "host id 7"])
        }
    }

    // MARK: The host id

    @Test func aHostIDThatIsMissingIsAMatterOfConfiguration() throws {
        let hosts = try TwoHosts(joined: false)
        defer { hosts.end() }
        let station = try Station(
            hosts.first.daemon, id: 1, leaseDirectory: hosts.leaseDirectory, hosts.scratch, settings: ["host_id": nil])
        let diagnosis = try station.diagnosis()
        diagnosis.expect(["hostId": "failed", "lockspace": "warning"], saying: ["hostId": "not set"])
        #expect(diagnosis.outcome.status == .exit(78))
        let manual = try Station(
            hosts.first.daemon, id: 1, leaseDirectory: hosts.leaseDirectory, hosts.scratch,
            settings: ["host_id": nil, "auto_disk_leases": "0"])
        try manual.diagnosis().expect(["lockspace": "warning"])
    }

    @Test func aHostIDThatLeaseFilesHaveNoRoomForIsNamed() throws {
        try withTwoHosts { hosts in
            let disk = try hosts.disk()
            _ = try hosts.scratch.disk("leases/\(try leaseName(disk))")
            try hosts.first.daemon.sanlock("direct", "init", "-r", try hosts.leaseText(disk), "-n", "1")
                .expecting(.exit(0))
            try Station(on: hosts.first, of: hosts, hosts.scratch).diagnosis().expectGood()
            try Station(on: hosts.second, of: hosts, hosts.scratch).diagnosis()
                .expect(["hostId": "failed"], saying: ["hostId": try leaseName(disk)])
        }
    }

    @Test func aHostIDThatAnotherHostUsesIsFoundOnBoth() throws {
        try withTwoHosts { hosts in
            let daemon = try SanlockDaemon(hostName: "third", runDirectory: hosts.scratch.file("s3"))
            hosts.scratch.atEnd { daemon.end() }
            let third = try Station(daemon, id: 1, leaseDirectory: hosts.leaseDirectory, hosts.scratch)
            let diagnosis = try third.diagnosis()
            diagnosis.expect(["hostId": "failed", "lockspace": "warning"], saying: ["hostId": "host1"])
            #expect(diagnosis.outcome.status == .exit(69))
            let first = try Station(on: hosts.first, of: hosts, hosts.scratch)
            try first.diagnosis().expectGood()
            // Once it has tried to join, the one that has the id is told too.
            try third.leasehold("lockspace", "join").expecting(.exit(69))
            try first.diagnosis().expect(["hostId": "warning"], saying: ["hostId": "third"])
        }
    }
}
