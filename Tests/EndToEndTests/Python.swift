import Foundation
import TestSupport

/// A Python that has the packages of others' that ours are tested with.
enum Python {
    private static let packages = ["varlink", "asyncvarlink", "prometheus-client"]
    private static let found = Result { try find() }

    /// Its path.
    static func path() throws -> String { try found.get() }

    /// `LEASEHOLD_PYTHON` where it is set (`scripts/test` does), else one that is made below the package's `.build`.
    private static func find() throws -> String {
        if let given = ProcessInfo.processInfo.environment["LEASEHOLD_PYTHON"] {
            guard try hasPackages(given) else {
                throw TestFailure("LEASEHOLD_PYTHON=\(given) can't import \(packages.joined(separator: " and "))")
            }
            return given
        }
        let home = try packageFolder() + "/.build/varlink-client"
        let python = home + "/bin/python"
        if FileManager.default.isExecutableFile(atPath: python), try hasPackages(python) { return python }
        try Program.run("python3", ["-m", "venv", "--clear", home], timeout: 120).expecting(.exit(0))
        try Program.run(
            python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"] + packages, timeout: 120
        ).expecting(.exit(0))
        return python
    }

    private static func hasPackages(_ python: String) throws -> Bool {
        let modules = packages.map { $0.replacingOccurrences(of: "-", with: "_") }
        return try Program.run(python, ["-c", "import \(modules.joined(separator: ", "))"]).succeeded
    }

    private static func packageFolder() throws -> String {
        var url = URL(fileURLWithPath: #filePath)
        while url.path != "/" {
            url.deleteLastPathComponent()
            let manifest = url.appendingPathComponent("Package.swift").path
            if FileManager.default.fileExists(atPath: manifest) { return url.path }
        }
        throw TestFailure("no Package.swift above \(#filePath)")
    }
}
