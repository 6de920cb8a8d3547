import ArgumentParser
import GuestDirectory
import HostChecks
import HostConfiguration
import Platform
import SanlockLeases

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether this host is set up right, and what to do about what isn't.",
        discussion: """
            Changes nothing, and takes some seconds at most. Exits with 0 where all is well or there are only warnings, with 69 \
            where something failed, and with 78 where it is the configuration.
            """)

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let examination = try settings.examination()
        var line = TerminalLine(on: 2)
        let report = examination.report { what, seconds in
            line.show("leasehold: \(what): at most \(Int(seconds.rounded(.up))) s")
        }
        line.clear()
        try show(json ? report.json.prettyDescription + "\n" : Doctor.text(report))
        let failed = report.failed
        guard !failed.isEmpty else { return }
        let code = failed.allSatisfy(\.isOfSettings) ? Problem.configuration : Problem.unavailable
        throw Problem(code, "this host is not set up right: \(failed.map(\.name.rawValue).joined(separator: ", "))")
    }

    private static func text(_ report: HostReport) -> String {
        var table = Table(["CHECK", "STATE", "FOUND"])
        for check in report.checks {
            table.add([check.name.rawValue, stateText(check.state), check.found.printable])
        }
        let advice = report.checks.compactMap { check in check.advice.map { (check.name.rawValue, $0) } }
        return table.text + (advice.isEmpty ? "" : "\nWhat to do:\n" + factsText(advice))
    }

    private static func stateText(_ state: Check.State) -> String {
        switch state {
        case .ok: "ok"
        case .warning: "warning"
        case .failed: "FAILED"
        case .notChecked: "not checked"
        }
    }
}

extension ConfigurationOptions {
    /// What a look at this host goes by.
    fileprivate func examination() throws -> HostExamination {
        let supervisor: HostExamination.Supervisor
        do { supervisor = .found(try Supervisor.path()) } catch let problem as Problem {
            supervisor = .missing(problem.text)
        }
        do throws(HostConfiguration.Problem) {
            let host = try HostConfiguration(named: file)
            return HostExamination(
                settings: SanlockSettings(host.settings, fileUser: try host.user(), fileGroup: try host.group()),
                isAutomatic: host.settings.autoDiskLeases,
                runDirectory: RunDirectory(configured: host.settings.runDirectory), supervisor: supervisor)
        } catch {
            throw Problem(Problem.configuration, error.text)
        }
    }
}
