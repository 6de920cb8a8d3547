import ArgumentParser
import Configuration
import Glibc
import GuestDirectory
import Platform

/// Where the run directory is found.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: ArgumentHelp("Settings.", valueName: "file"))
    var file: String?

    /// The run directory in force.
    func runDirectory() throws -> RunDirectory {
        RunDirectory(configured: try configuration().runDirectory)
    }

    private func configuration() throws -> Configuration {
        let named = file ?? getenv("LEASEHOLD_CONFIG").map { String(cString: $0) }
        let path = named ?? "/etc/leasehold/leasehold.conf"
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try Files.read(path, limit: 1 << 20) } catch {
            if named == nil, error.number == ENOENT || error.number == EACCES { return Configuration() }
            throw Problem(Problem.configuration, "configuration \(error.message)")
        }
        do throws(ConfigurationError) {
            return try Configuration(parsing: String(decoding: bytes, as: UTF8.self), path: path)
        } catch {
            throw Problem(Problem.configuration, error.message)
        }
    }
}
