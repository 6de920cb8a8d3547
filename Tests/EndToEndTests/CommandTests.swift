import Foundation
import Testing
import TestSupport

/// The commands that look at guests.
@Suite struct LookingCommandTests {
    @Test func listAlignsItsColumnsAndAgreesWithEachStatus() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            #expect(try desk.leasehold("list").output == "NAME  STATE  PID  LEASES  WATCHDOG  SINCE  HEALTH\n")
            #expect(try desk.json("list", "--json") == [])
            let guests = [
                try desk.start("a"), try desk.start("a-guest-with-a-long-name", disks: [hosts.disk(), hosts.disk()]),
                try desk.start("b+c:d@e.f"),
            ]
            // A lockspace is told a moment after the start.
            try eventually(within: 10) {
                try guests.allSatisfy { guest in
                    let status = try ControlConnection(guest.control).call("GetStatus")["status"]
                    return status?["leases"] == [] || status?["lockspaces"]?.array?.isEmpty == false
                }
            }
            let outcome = try desk.leasehold("list").expecting(.exit(0))
            #expect(outcome.errors == "")
            let lines = outcome.output.split(separator: "\n").map(Array.init)
            #expect(lines.count == 4)
            for heading in ["STATE", "PID", "LEASES", "WATCHDOG", "SINCE", "HEALTH"] {
                let column = try #require(String(lines[0]).range(of: heading)).lowerBound
                let offset = String(lines[0]).distance(from: String(lines[0]).startIndex, to: column)
                for line in lines { #expect(line[offset] != " " && line[offset - 1] == " ", "\(heading)") }
            }
            for (line, guest) in zip(lines.dropFirst(), guests) {
                let words = String(line).split(separator: " ").map(String.init)
                #expect(words.prefix(3) == [guest.name, "running", "\(guest.child.pid)"])
            }
            let all = try desk.json("list", "--json")
            #expect(all.array?.compactMap { $0["name"]?.string } == guests.map(\.name))
            for (index, guest) in guests.enumerated() {
                let status = try ControlConnection(guest.control).call("GetStatus")["status"]
                #expect(all[index]?.withoutAges == status?.withoutAges)
            }
        }
    }

    @Test func statusIsTheSameInEveryWay() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let uuid = "0d6bd9fd-35c4-4e54-9a6d-6c6d2a3d8f1e"
            let disks = [try hosts.disk(), try hosts.disk()]
            let guest = try desk.start(
                "looked-at", options: ["--uuid", uuid, "--id", "12", "--shared-disk", disks[1]], disks: [disks[0]])
            // The lockspace is told a moment after the start.
            let status = try eventuallyFound(within: 10) { () -> JSONValue? in
                let status = try desk.json("status", "looked-at", "--json")
                // A bare nil would be JSON's null.
                return status["lockspaces"]?.array?.isEmpty == false ? status.withoutAges : Optional.none
            }
            #expect(try desk.json("status", uuid, "--json").withoutAges == status)
            #expect(try desk.json("status", uuid.uppercased(), "--json").withoutAges == status)
            #expect(try ControlConnection(guest.control).call("GetStatus")["status"]?.withoutAges == status)
            // The file has the same, and more that tells processes apart.
            let state = try JSONValue(parsing: try Data(contentsOf: URL(filePath: guest.directory + "/state.json")))
                .withoutAges
            for (key, value) in try #require(status.object) { #expect(state[key] == value, "\(key)") }
            #expect(
                Set(try #require(status.object).keys) == [
                    "name", "uuid", "id", "supervisorPid", "childPid", "state", "since", "command", "driver",
                    "onLeaseLoss", "watchdog", "leases", "lockspaces",
                ])
            #expect(
                Set(try #require(status["leases"]?[0]?.object).keys) == [
                    "disk", "mode", "lockspace", "resource", "path", "offset", "version", "state",
                ])
            #expect(status["leases"]?.array?.compactMap { $0["mode"] } == ["exclusive", "shared"])
            #expect(status["leases"]?[1]?["version"] == nil)
            #expect(status["driver"] == "sanlock")
            #expect(status["onLeaseLoss"] == "poweroff")
            #expect(status["lockspaces"] == [["name": "__LIBVIRT__DISKS__", "hostId": 1, "hostName": "host1"]])
            let text = try desk.leasehold("status", "looked-at").expecting(.exit(0)).output
            for fact in [uuid, "\(guest.child.pid)", "running", "host id 1 (host1)"] + disks {
                #expect(text.contains(fact), "\(fact)")
            }
        }
    }

    @Test func childPidIsABareNumber() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("numbered", command: try Probe.command("sleep", "60"))
            #expect(try desk.leasehold("child-pid", "numbered").expecting(.exit(0)).output == "\(guest.child.pid)\n")
            let commandLine = readProcessFile(guest.child.pid, "cmdline").map { String(decoding: $0, as: UTF8.self) }
            #expect(commandLine?.contains("ProbeGuest") == true)
        }
    }

    @Test func anUnknownGuestIs66InOneLine() throws {
        try ControlDesk.with { desk in
            _ = try desk.start("known")
            for command in ["status", "child-pid", "wait", "stop", "kill", "events"] {
                for name in ["unknown", "know", "../guests/known", "", "/", ".", String(repeating: "x", count: 300)] {
                    let outcome = try desk.leasehold(command, "--", name, timeout: 5)
                    #expect(outcome.status == .exit(66), "\(command) '\(name)': \(outcome)")
                    #expect(outcome.output == "")
                    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
                }
            }
            #expect(try desk.leasehold("status", "known").succeeded)
        }
    }

    @Test func aNameFromTheEmulatorIsFoundAsItIs() throws {
        try ControlDesk.with { desk in
            let name = "web/1 ü$(x)"
            let command = QEMU.command(more: ["-name", name])
            let supervisor = try desk.scratch.start(
                desk.program(try Products.supervisor(), ["--driver", "nop", "--"] + command))
            try eventually(within: 15) { (try? desk.guestNames())?.isEmpty == false }
            let directory = try #require(try desk.guestNames().first)
            #expect(directory == "web%2F1%20%C3%BC%24%28x%29")
            let guest = try ControlledGuest(
                name: name, directory: desk.guestDirectory(directory), supervisor: supervisor)
            #expect(try desk.leasehold("child-pid", name).output == "\(guest.child.pid)\n")
            #expect(try desk.json("status", name, "--json")["name"]?.string == name)
            #expect(try desk.leasehold("list").output.contains(name))
            #expect(try desk.leasehold("kill", name).succeeded)
            #expect(try desk.json("wait", name, "--json")["name"]?.string == name)
        }
    }

    @Test func aReaderThatGoesAwayIsNoError() throws {
        try ControlDesk.with { desk in
            for number in 1...5 { _ = try desk.start("g\(number)") }
            let cli = try Products.cli()
            for command in ["list", "list --json", "status g1", "status g1 --json", "--help"] {
                let script = "set -o pipefail; \(cli) \(command) | head -1"
                let outcome = try desk.program("bash", ["-c", script]).run(timeout: 10)
                #expect(outcome.status == .exit(0), "\(command)")
                #expect(outcome.output.split(separator: "\n").count == 1)
                #expect(outcome.errors == "")
                // Nobody reads from the start.
                let closed = "set -o pipefail; (sleep 0.1; \(cli) \(command)) | true"
                let unread = try desk.program("bash", ["-c", closed]).run(timeout: 10)
                #expect(unread.status == .exit(0) && unread.errors == "", "\(command): \(unread)")
            }
        }
    }

    @Test func aFullOutputIsToldOnce() throws {
        try ControlDesk.with { desk in
            var program = try desk.command("list")
            program.output = .file("/dev/full")
            let outcome = try program.run()
            #expect(outcome.status == .exit(125))
            #expect(outcome.errors.split(separator: "\n").count == 1)
        }
    }

    @Test func supervisorCommandIsWhatToPutInFront() throws {
        try ControlDesk.with { desk in
            let told = try desk.json("supervisor-command", "--name", "it's \"x\"", "--driver", "nop")
            let words = try #require(told.array).compactMap(\.string)
            let path = URL(fileURLWithPath: try Products.supervisor()).resolvingSymlinksInPath().path
            #expect(words == [path, "--name", "it's \"x\"", "--driver", "nop", "--"])
            let usable = try desk.json("supervisor-command", "--driver", "nop").array?.compactMap(\.string) ?? []
            let outcome = try desk.program(usable[0], usable.dropFirst() + ["sh", "-c", "echo out; exit 9"]).run()
            #expect(outcome.status == .exit(9) && outcome.output == "out\n")
            #expect(try desk.leasehold("supervisor-command", "--", "qemu-system-x86_64").status == .exit(64))
        }
    }

    @Test func everyCommandExplainsItself() throws {
        try ControlDesk.with { desk in
            let commands = [
                "run", "list", "status", "child-pid", "wait", "stop", "kill", "events", "doctor", "metrics",
                "supervisor-command",
            ]
            for command in commands {
                let outcome = try desk.leasehold(command, "--help").expecting(.exit(0))
                #expect(outcome.output.contains("leasehold \(command)") && outcome.errors == "", "\(command)")
            }
            #expect(try desk.leasehold("--version").expecting(.exit(0)).output.split(separator: "\n").count == 1)
            let mistakes = [
                ["nonsense"], ["status"], ["status", "a", "b"], ["stop", "a", "--timeout", "soon"], ["list", "--wide"],
            ]
            for wrong in mistakes {
                let outcome = try desk.program(try Products.cli(), wrong).run()
                #expect(outcome.status == .exit(64) && outcome.output == "", "\(wrong): \(outcome)")
                #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
            }
        }
    }

    @Test func theConfigurationNamesTheRunDirectory() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("configured")
            let file = try desk.scratch.write("run_dir = \"\(desk.runDirectory)\"\n", to: "other.conf")
            var program = try desk.command("child-pid", "configured", "--config", file)
            program.environment["LEASEHOLD_RUN_DIR"] = ""
            #expect(try program.run().expecting(.exit(0)).output == "\(guest.child.pid)\n")
            let missing = try desk.leasehold("list", "--config", desk.scratch.file("none.conf"))
            #expect(missing.status == .exit(78) && missing.errors.split(separator: "\n").count == 1, "\(missing)")
            try desk.scratch.write("run_dir = 7\n", to: "wrong.conf")
            let wrong = try desk.leasehold("list", "--config", desk.scratch.file("wrong.conf"))
            #expect(wrong.status == .exit(78) && wrong.errors.contains("wrong.conf:1: run_dir"), "\(wrong)")
        }
    }
}

/// Looking at guests that come and go at that moment.
@Suite(.serialized) struct RacingCommandTests {
    @Test(arguments: ["wait", "stop", "kill"])
    func anEndThatComesJustNowIsToldAsAnEnd(command: String) throws {
        try ControlDesk.with { desk in
            for round in 0..<30 {
                let name = "short-\(round)"
                let running = try desk.scratch.start(try desk.supervised(name, command: ["sleep", "0.03"]))
                try eventually(within: 10) {
                    access(desk.guestDirectory(name) + "/child.pid", F_OK) == 0 || !running.isRunning
                }
                pause(milliseconds: Double(round) * 1.5)
                let outcome = try desk.leasehold(command, name, timeout: 10)
                // One that is gone whole can't be stopped any more, and can be waited for all the same.
                let isGone = access(desk.guestDirectory(name), F_OK) != 0
                #expect(
                    outcome.succeeded || outcome.status == .exit(66) && isGone && command != "wait",
                    "\(command) in round \(round): \(outcome)")
                try running.wait(timeout: 10)
            }
        }
    }

    @Test func listTellsNothingWrongOfGuestsThatComeAndGo() throws {
        try ControlDesk.with { desk in
            let script = "for n in $(seq 60); do \"$0\" --name g$n --driver nop -- sleep 0.01 || exit; done"
            let guests = try desk.scratch.start(desk.program("sh", ["-c", script, try Products.supervisor()]))
            _ = try desk.start("steady")
            var looks = 0
            while guests.isRunning {
                let outcome = try desk.leasehold("list")
                #expect(outcome.status == .exit(0) && outcome.errors == "", "\(outcome)")
                #expect(outcome.output.contains("steady"))
                looks += 1
            }
            #expect(try guests.wait() == .exit(0))
            #expect(looks > 5)
        }
    }

    @Test func aNameThatChangesHandsIsReachable() throws {
        try ControlDesk.with { desk in
            let script = """
                end=$(($(date +%s) + 3))
                while [ $(date +%s) -lt $end ]; do
                    "$0" --name same --driver nop -- sleep 0.02 2>&1
                    case $? in 0 | 75) ;; *) exit 1 ;; esac
                done
                """
            let program = desk.program("sh", ["-c", script, try Products.supervisor()])
            let rivals = try (0..<3).map { _ in try desk.scratch.start(program) }
            while rivals.contains(where: \.isRunning) {
                let outcome = try desk.leasehold("status", "same", timeout: 10)
                #expect(outcome.succeeded || outcome.status == .exit(66), "\(outcome)")
            }
            for rival in rivals { #expect(try rival.wait() == .exit(0), "\(rival.output)") }
            // Whoever had it last left it usable.
            _ = try desk.start("same")
            #expect(try desk.leasehold("child-pid", "same").succeeded)
        }
    }
}

extension JSONValue {
    /// A status without what changes from one look to the next.
    fileprivate var withoutAges: JSONValue {
        guard case .object(var status) = self, let lockspaces = status["lockspaces"]?.array else { return self }
        let ages = ["lastRenewalSeconds", "actsInSeconds", "othersMayTakeInSeconds"]
        status["lockspaces"] = .array(
            lockspaces.map { lockspace in .object((lockspace.object ?? [:]).filter { !ages.contains($0.key) }) })
        return .object(status)
    }
}
