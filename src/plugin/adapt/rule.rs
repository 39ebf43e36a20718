//! A rule finds what is wrong.

use std::sync::Arc;

use model::{Finding, Timestamp};
use ports::{BoxFuture, EvalError, Evaluate, Query};

use crate::Plugin;
use crate::host::{CallSetup, Questions, serve};

struct Rule(Arc<Plugin>);

/// `plugin` as the condition of a rule.
pub(crate) fn rule(plugin: Arc<Plugin>) -> Arc<dyn Evaluate> {
    Arc::new(Rule(plugin))
}

impl Evaluate for Rule {
    fn evaluate<'a>(
        &'a self,
        at: Timestamp,
        query: &'a dyn Query,
    ) -> BoxFuture<'a, Result<Vec<Finding>, EvalError>> {
        Box::pin(async move {
            let (asker, questions) = Questions::channel();
            let setup = CallSetup { at: Some(at), asker: Some(asker), ..CallSetup::default() };
            let summary = |findings: &Vec<Finding>| match findings.len() {
                1 => "1 finding".to_owned(),
                count => format!("{count} findings"),
            };
            let call = self.0.call(setup, summary, |version, call| async move {
                version.program.evaluate(call, at).await
            });
            serve(query, questions, call).await.map_err(|error| EvalError { message: error.to_string() })
        })
    }

    fn describe(&self) -> String {
        self.0.file()
    }
}
