import ArgumentParser
import GuestDirectory
import HostConfiguration

/// Where the run directory is found.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: ArgumentHelp("Settings.", valueName: "file"))
    var file: String?

    /// The run directory in force.
    func runDirectory() throws -> RunDirectory {
        do throws(HostConfiguration.Problem) {
            return RunDirectory(configured: try HostConfiguration(named: file).settings.runDirectory)
        } catch {
            throw Problem(Problem.configuration, error.text)
        }
    }
}
