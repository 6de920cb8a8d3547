import ArgumentParser
import GuestDirectory
import HostConfiguration
import Platform
import SanlockLeases

/// Where the settings are found.
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

    /// The same, where all guests are to be looked at.
    func allGuests() throws -> RunDirectory {
        let directory = try runDirectory()
        do throws(SystemError) { try directory.checkReadable() } catch {
            let advice = "run as the user whose guests they are, or set LEASEHOLD_RUN_DIR"
            throw Problem(Problem.notPermitted, "\(error.message); \(advice)")
        }
        return directory
    }

    /// What the sanlock driver needs of the settings.
    func sanlock() throws -> SanlockSettings {
        do throws(HostConfiguration.Problem) {
            let host = try HostConfiguration(named: file)
            return SanlockSettings(host.settings, fileUser: try host.user(), fileGroup: try host.group())
        } catch {
            throw Problem(Problem.configuration, error.text)
        }
    }
}
