import ArgumentParser
import ControlProtocol
import SupervisorConnection

struct ChildPid: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "child-pid", abstract: "Print the pid of a guest's process.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @Flag(help: "The same: a pid is JSON.") var json = false
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        let directory = try settings.runDirectory()
        let found = try FoundGuest.named(guest, in: directory)
        let pid = try ask(found, named: guest, in: directory, .getChild) { reply throws(WireError) in
            try reply.childPid()
        }
        try show("\(pid)\n")
    }
}
