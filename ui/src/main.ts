import { mount } from 'svelte';
import 'uplot/dist/uPlot.min.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import App from './app/App.svelte';

const target = document.getElementById('app');
if (target) mount(App, { target });
