import Foundation
import TestSupport
import Testing

/// The name of a guest and its files: taken, stale, spoiled or out of reach.
@Suite struct RunDirectoryTests {
    private func withStation(_ body: (Station, TwoHosts) throws -> Void) throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in try body(try Station(on: hosts.second, of: hosts, scratch), hosts) }
    }

    @Test func aNameInUseIsRefusedAndItsGuestUntouched() throws {
        try withStation { station, hosts in
            let (disk, other) = (try hosts.disk(), try hosts.disk())
            let uuid = "01234567-89ab-cdef-0123-456789abcdef"
            let guest = try station.start(["--disk", disk, "--uuid", uuid], named: "web1")
            try guest.waitUntilRecorded(disk)
            try eventually(within: 5) { try guest.status()["lockspaces"]?.array?.count == 1 }
            let folder = "\(station.runDirectory)/guests/web1"
            func files() throws -> [String: Data] {
                let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 != "control" }
                return Dictionary(
                    uniqueKeysWithValues: names.map {
                        ($0, FileManager.default.contents(atPath: "\(folder)/\($0)") ?? Data())
                    })
            }
            let before = try files()
            for command in [
                try Probe.command("sleep", "60"), QEMU.command(disks: [other], more: ["-name", "web1"]), ["/bin/true"],
            ] {
                let name = command[0].contains("qemu") ? [] : ["--name", "web1"]
                let words = ["web1", "\(guest.pid)", "--name"]
                try station.refused(name + ["--disk", other], command, code: 75, naming: words)
                try station.refused(name + ["--disk", disk], command, code: 75, naming: words)
                try station.refused(name + ["--driver", "nop"], command, code: 75, naming: words)
            }
            #expect(try files() == before)
            #expect(try guest.status()["uuid"]?.string == uuid)
            #expect(try guest.leases().map(\.version) == [1])
            #expect(try station.record(of: disk)?["guest"] == "web1")
            try guest.stop()
            #expect(station.runFiles() == ["exits/web1.json"])
        }
    }

    @Test func ofTwoStartsOfOneNameAtOnceOneWins() throws {
        try withStation { station, _ in
            let starts = try (0..<8).map { _ in
                try station.scratch.start(
                    try station.supervised(["--name", "one", "--driver", "nop"], Probe.command("sleep", "60")))
            }
            try eventually(within: 10, every: 20, "one left of \(starts.map { $0.errors })") {
                starts.filter(\.isRunning).count == 1
            }
            for start in starts where !start.isRunning { expectOneLine(try start.finish(), code: 75, naming: ["one"]) }
            let winner = try #require(starts.first { $0.isRunning })
            try eventually(within: 5, every: 20) {
                try station.leasehold("status", "one", "--json").json()["supervisorPid"]?.integer == Int(winner.pid)
            }
            #expect(try station.leasehold("stop", "one").succeeded)
            #expect(station.runFiles() == ["exits/one.json"])
        }
    }

    @Test func staleFilesAreCleanedByTheNextStart() throws {
        try withStation { station, hosts in
            let manager = FileManager.default
            let folder = "\(station.runDirectory)/guests/stale"
            let bystander = try station.scratch.start(Program("/bin/sleep", ["60"]))
            let disk = try hosts.disk()
            let states = [
                "", "{", "garbage\u{0}", "[]", "{\"childPid\":\(bystander.pid)}", "null",
                String(repeating: "[", count: 100_000), String(repeating: "x", count: 2 << 20),
                """
                {"name":"stale","uuid":"u","supervisorPid":1,"childPid":\(bystander.pid),"childStartTime":1,\
                "state":"running","since":"2020-01-01T00:00:00Z","command":[],"driver":"sanlock",\
                "onLeaseLoss":"poweroff","watchdog":false,"leases":[],"lockspaces":[]}
                """,
            ]
            for state in states {
                try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for (name, text) in [
                    ("state.json", state), ("supervisor.pid", "\(bystander.pid)\n"),
                    ("child.pid", "\(bystander.pid)\n"),
                    ("control", "no socket"), ("state.json.1.new", "x"),
                ] { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
                expectOneLine(try station.leasehold("status", "stale"), code: 66)
                let guest = try station.start(["--disk", disk], named: "stale")
                #expect(try guest.status()["supervisorPid"]?.integer == Int(guest.pid))
                #expect(bystander.isRunning)
                try guest.stop()
                #expect(!manager.fileExists(atPath: folder))
            }
            bystander.end()
        }
    }

    @Test func aSupervisorAndKeeperKilledAtOnceLeaveANameThatCanBeTaken() throws {
        try withStation { station, hosts in
            let disk = try hosts.disk()
            let old = try station.start(["--disk", disk], Probe.command("sleep", "60"), named: "twice")
            let family = old.running.descendants
            for process in [old.running.identity] + family {
                process.signal(SIGKILL)
            }
            _ = try old.running.finish(timeout: 5)
            #expect(station.runFiles().contains("guests/twice/state.json"))
            let next = try station.start(["--disk", disk], named: "twice")
            let held = try next.leases()
            #expect(held.map(\.version) == [2], "\(held)")
            try next.stop()
            #expect(!station.runFiles().contains("guests/twice"))
        }
    }

    @Test func aSpoiledRunDirectoryIsNamed() throws {
        try withStation { station, _ in
            let manager = FileManager.default
            let file = try station.scratch.write("x", to: "file")
            func spoiled(_ directory: String, _ code: Int32, _ words: [String]) throws {
                var other = station
                other.more["LEASEHOLD_RUN_DIR"] = directory
                try other.refused(["--name", "n", "--disk", "/d"], code: code, naming: words)
            }
            try spoiled(file, 73, [file])
            try spoiled("\(file)/below", 73, [file])
            try spoiled("/proc/nowhere", 73, ["/proc/nowhere"])
            let long = "/tmp/" + String(repeating: "l", count: 100)
            try spoiled(long, 78, [long])
            #expect(!manager.fileExists(atPath: long))
            try spoiled("relative/\(String(repeating: "l", count: 100))", 78, ["relative"])

            let guests = try station.scratch.directory("files/guests")
            try manager.createDirectory(atPath: "\(guests)/../exits", withIntermediateDirectories: true)
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(guests)/n"))
            try spoiled(station.scratch.file("files"), 73, ["guests/n"])
            try manager.removeItem(atPath: guests)
            try Data("x".utf8).write(to: URL(fileURLWithPath: guests))
            try spoiled(station.scratch.file("files"), 73, ["guests"])
        }
    }

    @Test func aUserWithoutRightsIsToldSo() throws {
        try withStation { station, _ in
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o755], ofItemAtPath: station.scratch.path)
            let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            // Neither the run directory nor the daemon's socket is this user's.
            let refused = try station.supervised(["--name", "n", "--disk", "/d"], ["/bin/true"]).prefixed(by: user)
            try station.refused(refused, code: 77, naming: ["run directory", "Permission denied"])

            let own = try station.scratch.directory("own")
            #expect(chown(own, 65534, 65534) == 0)
            var other = station
            other.more["LEASEHOLD_RUN_DIR"] = own
            let unheard = try other.supervised(["--name", "n", "--disk", "/d"], ["/bin/true"]).prefixed(by: user)
            try other.refused(unheard, code: 77, naming: ["sanlock"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(own)/guests") == [])

            let guest = try station.start(["--driver", "nop"], named: "mine")
            for verb in ["status", "kill", "child-pid"] {
                let stranger = Program(try Products.cli(), [verb, "mine"], environment: station.environment)
                let outcome = try stranger.prefixed(by: user).run(timeout: 5)
                #expect(outcome.status == .exit(66) || outcome.status == .exit(77), "\(verb): \(outcome)")
                #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.output == "", "\(outcome)")
            }
            #expect(guest.running.isRunning)
            try guest.stop()
        }
    }

    @Test func aRunDirectoryThatCannotBeWrittenIsNamed() throws {
        try withBrokenHost(isJoined: false) { host in
            var station = try host.station()
            let directory = "\(host.mountPoint)/run"
            station.more["LEASEHOLD_RUN_DIR"] = directory
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try host.remount("ro")
            try station.refused(
                ["--name", "n", "--driver", "nop"], code: 73, naming: [directory, "Read-only file system"])
            try host.remount("rw")
            // Full: the guest must not run without what others find it by.
            try host.fill()
            let running = try station.supervised(["--name", "n", "--driver", "nop"], Probe.command("exit", "0")).run()
            if running.status != .exit(0) { expectOneLine(running, code: 73, naming: [directory]) }
            let left = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/guests")) ?? []
            #expect(left == [])
        }
    }
}
