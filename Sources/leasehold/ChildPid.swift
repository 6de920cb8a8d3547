import ArgumentParser

struct ChildPid: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "child-pid", abstract: "Print the pid of a guest's process.")

    @Argument(help: "The guest's name or UUID.") var guest: String
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
        let connection = try GuestConnection(
            FoundGuest.named(guest, in: settings.runDirectory()), timeoutSeconds: 5)
        do {
            try show("\(try connection.call(.getChild).childPid())\n")
        } catch is GuestConnection.TimedOut {
            throw Problem(Problem.unavailable, "the supervisor of \(guest) does not answer; is it stopped?")
        }
    }
}
