import Foundation
import Testing
import TestSupport

/// PyPI's varlink clients, unchanged, against a supervisor.
@Suite struct VarlinkTests {
    @Test func aClientReadsTheInterface() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("described")
            let told = try VarlinkClient.run("describe", guest.control)
            #expect(told["info"]?["interfaces"] == ["org.varlink.service", "io.leasehold.Supervisor"])
            #expect(told["info"]?["product"] == "leasehold-supervisor")
            #expect(told["info"]?["version"]?.string?.isEmpty == false)
            let expected = try String(
                contentsOfFile: VarlinkClient.folder + "/io.leasehold.Supervisor.varlink", encoding: .utf8)
            #expect(told["texts"]?["io.leasehold.Supervisor"]?.string == expected)
            #expect(told["texts"]?["org.varlink.service"]?.string?.contains("method GetInfo() -> (") == true)
            let members = Set(try #require(told["members"]?.array).compactMap(\.string))
            #expect(members.isSuperset(of: ["GetChild", "GetStatus", "Monitor", "Shutdown", "Kill", "Busy", "Status"]))
        }
    }

    @Test func aClientSeesTheGuest() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            let guest = try desk.start("seen", options: ["--id", "7"], disks: [disk])
            let told = try VarlinkClient.run("look", guest.control)
            #expect(told["child"]?.integer == Int(guest.child.pid))
            let status = try #require(told["status"])
            #expect(status["name"] == "seen")
            #expect(status["id"] == 7)
            #expect(status["supervisorPid"]?.integer == Int(guest.supervisor.pid))
            #expect(status["childPid"]?.integer == Int(guest.child.pid))
            #expect(status["state"] == "running")
            #expect(status["command"] == ["sleep", "60"])
            let lease = try #require(status["leases"]?[0])
            #expect(lease["disk"]?.string == disk)
            #expect(lease["resource"]?.string == (try leaseName(disk)))
            #expect(lease["path"]?.string == (try hosts.leasePath(disk)))
            #expect(lease["state"] == "held")
            let held = try #require(try hosts.holders(of: disk).first)
            #expect(lease["version"]?.integer == held.resource.version.map(Int.init))
        }
    }

    @Test(arguments: [["Shutdown"], ["Shutdown", "5"], ["Kill"]])
    func aClientFollowsTheGuestToItsEnd(method: [String]) throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            let guest = try desk.start("followed", disks: [disk])
            let told = try VarlinkClient.run("end", guest.control, method)
            // Answered when it is done, and not before.
            #expect(!guest.child.exists)
            #expect(try hosts.holders(of: disk).isEmpty)
            try expectWholeLife(told, killed: method == ["Kill"])
            #expect(told["exit"] == (try desk.exitRecord("followed")))
            let signal = method == ["Kill"] ? SIGKILL : SIGTERM
            #expect(try guest.supervisor.wait(timeout: 5) == .signal(signal))
        }
    }

    @Test func anotherClientKillsTheGuest() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let guest = try desk.start("typed", disks: [try hosts.disk()])
            let told = try VarlinkClient.run("kill_with_asyncvarlink", guest.control)
            #expect(told["child"]?["pid"]?.integer == Int(guest.child.pid))
            #expect(told["text"]?["description"]?.string?.contains("interface io.leasehold.Supervisor\n") == true)
            #expect(told["info"]?["product"] == "leasehold-supervisor")
            try expectWholeLife(
                .object(["told": told["told"] ?? .null, "exit": told["exit"]?["exit"] ?? .null]), killed: true)
            #expect(!guest.child.exists)
        }
    }

    private func expectWholeLife(_ answer: JSONValue, killed: Bool) throws {
        let told = try #require(answer["told"]?.array)
        #expect(told.first?["status"]?["state"] == "running")
        #expect(told.first?["status"]?["leases"]?.array?.count == 1)
        let events = told.compactMap { $0["event"] }
        #expect(events.suffix(2).map { $0["event"] } == ["exited", "released"])
        #expect(events.last?["detail"]?["leasesFree"] == "true")
        let sequences = events.compactMap { $0["sequence"]?.integer }
        #expect(zip(sequences, sequences.dropFirst()).allSatisfy { $1 == $0 + 1 })
        let exit = try #require(answer["exit"])
        #expect(exit["reason"]?.string == (killed ? "killed" : "stopped"))
        #expect(exit["signal"]?.integer == Int(killed ? SIGKILL : SIGTERM))
        #expect(exit["code"] == nil)
        #expect(exit["leasesFree"] == true)
    }

    @Test func refusalsAreTheClientsExceptions() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("refusing")
            let told = try VarlinkClient.run("refusals", guest.control)
            let expected = [
                ("unknown interface", "InterfaceNotFound", "InterfaceNotFound"),
                ("unknown method", "MethodNotFound", "VarlinkError"),
                ("negative timeout", "InvalidParameter", "InvalidParameter"),
            ]
            for (call, name, type) in expected {
                #expect(told[call]?["error"]?.string == "org.varlink.service.\(name)")
                #expect(told[call]?["class"]?.string == type, "\(call)")
            }
            #expect(told["unknown interface"]?["parameters"] == ["interface": "no.such.Interface"])
            #expect(told["negative timeout"]?["parameters"] == ["parameter": "timeoutSeconds"])
            #expect(told["nothing to resume"]?["error"] == "io.leasehold.Supervisor.WrongState")
            #expect(told["nothing to resume"]?["parameters"] == ["state": "running"])
            #expect(told["none"] == .null)
            #expect(guest.child.exists && guest.supervisor.isRunning)
        }
    }

    @Test func aGuestThatWaitsForItsLeaseHasNoChild() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            _ = try desk.start("holder", disks: [disk])
            let waiting = try desk.supervised("waiting", options: ["--wait", "60s"], disks: [disk])
            _ = try desk.scratch.start(waiting)
            let socket = desk.guestDirectory("waiting") + "/control"
            try eventually(within: 10) { try connectUnixSocket(socket).map { close($0) } != nil }
            let told = try VarlinkClient.run("child_refusal", socket)
            #expect(told["error"] == "io.leasehold.Supervisor.WrongState")
            #expect(told["parameters"] == ["state": "acquiring"])
        }
    }

    @Test func anotherUserIsNotServed() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("private")
            // The way to the directory has to be free, so that it's the directory that refuses.
            for path in [desk.scratch.path, desk.runDirectory, desk.runDirectory + "/guests"] { chmod(path, 0o755) }
            let refused = try VarlinkClient.run("as_user", guest.control, ["65534"])
            let methods = ["GetInfo", "GetChild", "GetStatus", "Monitor", "Shutdown", "Kill"]
            for method in methods { #expect(refused[method]?["class"] == "PermissionError", "\(method)") }
            // To him there aren't none: he may not see them. Where the programs are he may not go.
            chmod(desk.runDirectory + "/guests", 0o711)
            let leasehold = desk.scratch.file("leasehold")
            try FileManager.default.copyItem(atPath: try Products.cli(), toPath: leasehold)
            for words in [["list"], ["list", "--json"], ["metrics"], ["events"]] {
                let program = Program(
                    "/usr/bin/setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", leasehold] + words,
                    environment: ["LEASEHOLD_RUN_DIR": desk.runDirectory])
                expectOneLine(try program.run(), code: 77, naming: [desk.runDirectory])
            }
            // And where the files' modes were opened, the supervisor itself refuses.
            chmod(guest.directory, 0o755)
            chmod(guest.control, 0o777)
            let answered = try VarlinkClient.run("as_user", guest.control, ["65534"])
            for method in methods {
                #expect(answered[method]?["error"] == "io.leasehold.Supervisor.NotPermitted", "\(method)")
            }
            #expect(guest.child.exists && guest.supervisor.isRunning)
            #expect(try VarlinkClient.run("look", guest.control)["status"]?["state"] == "running")
        }
    }

    @Test func manyCallsOnOneConnection() throws {
        try ControlDesk.with { desk in
            let guest = try desk.start("busy")
            let count = 20_000
            let told = try VarlinkClient.run("rate", guest.control, ["\(count)"])
            let seconds = try #require(told["seconds"]?.number)
            print("GetChild by PyPI's varlink: \(Int(Double(count) / seconds)) calls a second")

            // That client waits for each answer; one that sends ahead shows what the supervisor can do.
            let connection = try ControlConnection(guest.control)
            let start = monotonicNanoseconds()
            for _ in 0..<count / 200 {
                for _ in 0..<200 { try connection.send("GetChild") }
                try connection.skipReplies(200)
            }
            print("GetChild sent ahead: \(Int(Double(count) / secondsSince(start))) calls a second")
            #expect(try connection.call("GetChild")["pid"]?.integer == Int(guest.child.pid))
        }
    }
}

/// PyPI's clients: a Python that has them, and the script beside this file.
enum VarlinkClient {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path

    static func run(_ what: String, _ socket: String, _ arguments: [String] = []) throws -> JSONValue {
        let script = folder + "/varlink_client.py"
        return try Program.run(try Python.path(), ["-B", script, what, socket] + arguments, timeout: 60)
            .expecting(.exit(0)).json()
    }
}
