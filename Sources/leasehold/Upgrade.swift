import ArgumentParser
import ControlProtocol
import Glibc
import Platform
import SupervisorConnection

struct Upgrade: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have a guest's supervisor become the version that is installed by now.",
        discussion: """
            Its pid, the guest and its leases stay as they are; other clients of its control socket are to connect again. The new program is \
            tried first: where it can't go on with the guest, or something is under way for it, nothing changes.
            """)

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Option(help: ArgumentHelp("Another program than the one installed.", valueName: "file")) var program: String?
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print a JSON object.") var json = false

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        let connection = try GuestConnection(found, timeoutSeconds: nil)
        // Answered by the new program.
        _ = try order(.upgrade(program: try program.map(absolute)), connection, doing: "upgrading \(guest)")
        let status: WireStatus
        let version: String?
        do throws(ConnectionError) {
            let reply = try connection.call(.getStatus)
            do throws(WireError) { status = try reply.value("status") } catch {
                throw ConnectionError.unexpected(guest, error)
            }
            version = try connection.call(.getInfo).parameters["version"]?.stringValue
        } catch {
            throw Problem(error)
        }
        guard json else {
            return try show("\(status.name.printable) goes on under version \(version ?? "unknown")\n")
        }
        var object = JSON.Object()
        object["name"] = .string(status.name)
        object["supervisorPid"] = .integer(Int64(status.supervisorPid))
        object["childPid"] = status.childPid.map { .integer(Int64($0)) }
        object["version"] = version.map(JSON.string)
        try show(JSON.object(object).prettyDescription + "\n")
    }

    private func absolute(_ path: String) throws -> String {
        if path.utf8.first == UInt8(ascii: "/") { return path }
        guard !path.isEmpty, let directory = getcwd(nil, 0) else {
            throw Problem(Problem.usage, "--program '\(path)' can't be found from here; give an absolute path")
        }
        defer { free(directory) }
        return "\(String(cString: directory))/\(path)"
    }
}
